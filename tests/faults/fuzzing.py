"""How many examples are drawn, and a process of its own in which memory is limited and measured."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[2]
_MEGABYTE = 2**20
_USUAL_EXAMPLES = 100  # of the profile that the suite runs with
THOROUGH = settings.default.max_examples > _USUAL_EXAMPLES  # in `make fuzz`
_AFTERWORD = """
import json, resource, time
_began, _before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
_told = main()
_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
_spent = time.process_time() - _began
print(json.dumps({"told": _told, "seconds": _spent, "megabytes": (_peak - _before) / 1024}))
"""


def examples(count: int, *, steps: int = 50) -> settings:
    """So many examples in the suite, and twenty times as many in ``make fuzz``."""
    return settings(
        max_examples=max(count * settings.default.max_examples // _USUAL_EXAMPLES, 1),
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a program returned, its processor seconds, and by how much its memory grew at most."""

    told: object
    seconds: float
    megabytes: float


def run_limited(program: str, *, megabytes: int, seconds: int = 120, argument: str = "") -> Run:
    """Run the function ``main()`` of a program in a process that may have so much address space and processor time."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * _MEGABYTE,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    done = subprocess.run(
        [sys.executable, "-c", program + _AFTERWORD, argument],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        preexec_fn=limit,
        text=True,
        timeout=10 * seconds,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    return Run(**json.loads(done.stdout.splitlines()[-1]))
