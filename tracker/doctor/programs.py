"""What this program itself consists of: its version, the packages it stands on, its commit."""

import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from ard import __version__
from tracker.doctor.findings import Finding, broken, doubtful, well

_PACKAGES = ("boto3", "botocore", "numpy", "obstore", "pyarrow", "pydantic", "rasterio", "rich", "typer")
_SECONDS = 10


def program_findings() -> Iterator[Finding]:
    """The versions of everything, and the commit when this is a checkout."""
    found = {name: _version(name) for name in _PACKAGES}
    missing = [name for name, number in found.items() if number is None]
    if missing:
        yield broken("packages", f"missing: {', '.join(missing)}", f"python -m pip install {' '.join(missing)}")
    else:
        numbers = ", ".join(f"{name} {number}" for name, number in found.items())
        yield well("packages", f"ttc-tile-pipeline {__version__}, Python {python_version()}, {numbers}")
    commit = _commit(Path(__file__).resolve().parent)
    if commit:
        yield well("git", f"commit {commit}")
    else:
        yield doubtful("git", "expected a checkout, found none: the commit is not known", "git clone, then make")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit(folder: Path) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(folder), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
