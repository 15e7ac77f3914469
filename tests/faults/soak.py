"""A storm over thousands of tasks: ``python -m tests.faults.soak --tasks 2000 --seed 7``."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.promises import Promise
from tests.faults.storm import Options, Outcome, storm


def main() -> int:
    """Print what the storm came to; 1 when a promise is broken."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1, help="the same seed draws the same faults")
    arguments.add_argument("--folder", type=Path, help="keep what is left, logs above all, in this folder")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        outcome = storm(Options(tasks=given.tasks, seed=given.seed, folder=given.folder or Path(temporary)))
    sys.stdout.writelines(f"{line}\n" for line in lines(outcome))
    return 1 if outcome.broken else 0


def lines(outcome: Outcome) -> list[str]:
    """What a storm came to, for people."""
    count = outcome.count
    return [
        f"seed {outcome.seed}: {outcome.tasks} tasks in {outcome.seconds:.0f} s, {outcome.claims} attempts",
        f"faults: {sum(outcome.faults.values())}",
        *(f"  {number:6} {kind}" for kind, number in sorted(outcome.faults.items())),
        "invocations that did not end well",
        *(f"  {number:6} {kind}" for kind, number in sorted(outcome.invocations.items())),
        "ends",
        *(f"  {number:6} {end}" for end, number in sorted(outcome.ends.items())),
        f"lost: {count(Promise.NOT_LOST)}",
        f"double commits: {count(Promise.ONE_COMMIT, Promise.FENCED, Promise.NO_WAY_BACK)}",
        f"wrong states: {count(Promise.RIGHT_STATE, Promise.CANCELLED_STAYS_SO)}",
        f"incomplete outputs: {count(Promise.COMPLETE)}",
        f"letters missing or without reason: {count(Promise.LETTER)}",
        f"requests without an answer: {count(Promise.RECEIPT)}",
        f"brought back by the six hours' patience: {outcome.late}",
        *(f"BROKEN {broken.promise}: {broken.what}" for broken in outcome.broken[:50]),
    ]


if __name__ == "__main__":
    sys.exit(main())
