"""What an examination found, for people and for programs."""

from collections.abc import Sequence

from rich.table import Table

from tracker.doctor.findings import Finding, Level
from tracker.documents.make import Document, dumped, moment
from tracker.documents.shapes import DoctorDocument, FindingShape
from tracker.show.common import grid, words

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def doctor_view(findings: Sequence[Finding]) -> Table:
    """A line per finding; below what is wrong, the command to type."""
    table = grid(["", "Check"], [], ["Found"])
    for finding in findings:
        table.add_row(words(finding.level.upper(), _STYLES[finding.level]), words(finding.check), words(finding.found))
        if finding.remedy:
            table.add_row("", "", words(f"-> {finding.remedy}"))
    return table


def doctor_document(findings: Sequence[Finding], *, now: float) -> Document:
    """The same as JSON."""
    return dumped(
        DoctorDocument(
            well=all(finding.level is not Level.FAIL for finding in findings),
            as_of=moment(now),
            findings=[
                FindingShape(check=finding.check, level=finding.level.value, found=finding.found, remedy=finding.remedy)
                for finding in findings
            ],
        )
    )
