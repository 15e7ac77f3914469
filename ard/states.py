"""The states of a task's row in the status table."""

from enum import StrEnum


class State(StrEnum):
    """Where a task stands. ``STALLED`` is derived by readers (RUNNING with a lease long over), never stored."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    NO_DATA = "NO_DATA"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        """No worker will touch this task again unless somebody redrives it."""
        return self not in {State.QUEUED, State.RUNNING, State.RETRYING}

    @property
    def settled(self) -> bool:
        """A terminal state in which a duplicate message is simply acknowledged."""
        return self.terminal and self is not State.FAILED
