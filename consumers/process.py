"""From a task to its output."""

from ard.adapters.outputs import Output, publish
from ard.adapters.stac_item import Provenance
from ard.task import TileTask
from consumers.services import Services


def make(task: TileTask, services: Services) -> Output:
    """Make one tile of one product and write it.

    Raises:
        ArdError: See ``ard.errors``; nothing that counts was written.
    """
    data = services.loader(task.product)(task, services.catalog, services.reader)
    provenance = Provenance(job_id=task.job_id, git_sha=services.git_sha, created=services.now())
    return publish(data, task, services.open_store(task.dest), provenance=provenance)
