"""What an examination finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; a remedy is the command to type."""

    check: str
    level: Level
    found: str
    remedy: str | None = None


def well(check: str, found: str) -> Finding:
    """All is as it should be."""
    return Finding(check=check, level=Level.OK, found=found)


def doubtful(check: str, found: str, remedy: str) -> Finding:
    """It works, and somebody should look at it."""
    return Finding(check=check, level=Level.WARN, found=found, remedy=remedy)


def broken(check: str, found: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check=check, level=Level.FAIL, found=found, remedy=remedy)
