"""Writes ``docs/schemas``: the JSON schema of every document that is printed: ``python -m tests.contracts.schemas``."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from producer.preview import Preview
from producer.receipts import Receipt, Rejection, Reopening, Submission
from tracker.documents import acting as shapes_acting
from tracker.documents import report as shapes_report
from tracker.documents import shapes
from tracker.documents import tile as shapes_tile

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schemas"

DOCUMENTS: tuple[type[BaseModel], ...] = (
    Preview,
    Receipt,
    Rejection,
    Reopening,
    Submission,
    shapes.DoctorDocument,
    shapes.FailuresDocument,
    shapes_report.JobReportDocument,
    shapes.JobsDocument,
    shapes.QualityDocument,
    shapes_acting.JobCommandDocument,
    shapes_acting.ReconcileDocument,
    shapes_acting.RedriveDocument,
    shapes_acting.RedrivePlanDocument,
    shapes_acting.RedrivePlansDocument,
    shapes_acting.RedrivesDocument,
    shapes.StatusDocument,
    shapes_tile.TileDocument,
)


def schemas() -> Mapping[str, str]:
    """The text of each file, by its name."""
    texts = {}
    for document in DOCUMENTS:
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **document.model_json_schema(mode="serialization"),
        }
        texts[f"{document.model_fields['kind'].default}.schema.json"] = json.dumps(schema, indent=1) + "\n"
    return texts


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (FOLDER / name).write_text(text)
