"""Writes the golden files of the wire contracts: ``python -m tests.contracts.make``. A change here is a new version."""

import json
from pathlib import Path

from ard.task import ChunkMessage, TileTask
from tests.factories import make_task

if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "tile_task_v1.json").write_text(make_task().model_dump_json() + "\n")
    (here / "tile_task_v1.schema.json").write_text(json.dumps(TileTask.model_json_schema(), indent=1) + "\n")
    (here / "chunk_message_v1.json").write_text(
        ChunkMessage(job_id="2023-1t-0123456789", number=7).model_dump_json() + "\n"
    )
