"""``python -m consumers < tasks.jsonl``: make tiles here and now, one message body per line, without queue or table."""

import json
import sys

from pydantic import ValidationError

from ard.errors import ArdError
from ard.task import TileTask
from consumers.process import make
from consumers.services import from_environment


def main() -> int:
    """Make each task read from standard input; print one JSON line per task, and 1 when any of them failed."""
    services, failures = from_environment(), 0
    for line in filter(str.strip, sys.stdin):
        try:
            task = TileTask.model_validate_json(line)
            output = make(task, services)
        except (ArdError, ValidationError) as error:
            failures += 1
            cause = error.cause if isinstance(error, ArdError) else "invalid_input"
            answer = {"task": line.strip()[:200], "cause": cause, "message": str(error)}
        else:
            answer = {
                "task": task.task_id,
                "item": output.item_key,
                "bytes": output.size,
                "flags": sorted(output.flags),
            }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
