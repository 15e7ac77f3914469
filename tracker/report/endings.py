"""How executions end, for pictures and their legends."""

from enum import Enum

from ard.errors import Auth, NoData, Unavailable
from ard.rows import Attempt
from ard.states import State
from tracker.failures import PERMANENT_CAUSES


class Ending(Enum):
    """How executions end, as a legend tells it, with a colour each (Okabe and Ito 2008, safe for the colour-blind)."""

    SUCCEEDED = "succeeded", "#009E73"
    NO_DATA = "no data", "#56B4E9"
    UNAVAILABLE = "provider unavailable", "#E69F00"
    TRANSIENT = "transient error", "#CC79A7"
    PERMANENT = "permanent error", "#D55E00"
    CRASHED = "crashed", "#333333"

    @property
    def colour(self) -> str:
        """As #RRGGBB."""
        return self.value[1]

    @property
    def words(self) -> str:
        """As a person says it."""
        return self.value[0]


def ending(attempt: Attempt) -> Ending:
    """How an attempt ended; what is not known to be permanent is tried again."""
    known = {
        State.SUCCEEDED: Ending.SUCCEEDED,
        NoData.cause: Ending.NO_DATA,
        Unavailable.cause: Ending.UNAVAILABLE,
        Auth.cause: Ending.UNAVAILABLE,
        "crashed": Ending.CRASHED,
    }
    return known.get(attempt.outcome, Ending.PERMANENT if attempt.outcome in PERMANENT_CAUSES else Ending.TRANSIENT)
