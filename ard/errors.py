"""What can go wrong, told by type; nobody reads messages to decide.

::

    ArdError
    ├── NoData              a result, not a failure: the sources hold nothing for this tile
    ├── Permanent           trying again cannot help
    │   ├── InvalidInput    the request, message or setting is wrong
    │   ├── AssetCorrupt    a source asset is missing or cannot be decoded
    │   └── InvalidProduct  a product broke its own contract before it was written
    └── Transient           trying again may help, and uses up an attempt
        ├── OutOfTime       the worker's time is nearly over
        └── Unavailable     a provider is down or throttles: try again later, free of charge
            └── Auth        a provider refuses our credentials: an operator must act

``cause`` is the short code that rows, reports and dead letters carry.
"""

from typing import ClassVar


class ArdError(Exception):
    """Root of every error that this project raises on purpose."""

    cause: ClassVar[str] = "internal"


class NoData(ArdError):
    """The sources hold nothing usable for this tile: a terminal result."""

    cause = "no_data"


class Permanent(ArdError):
    """Trying again cannot help."""

    cause = "permanent"


class InvalidInput(Permanent):
    """A request, message or setting is not what its contract says."""

    cause = "invalid_input"


class AssetCorrupt(Permanent):
    """A source asset is missing, cannot be decoded or is not on the grid it claims."""

    cause = "asset_corrupt"


class InvalidProduct(Permanent):
    """A product broke its specification and was not written."""

    cause = "invalid_product"


class Transient(ArdError):
    """Trying again may help; the attempt counts."""

    cause = "transient"


class OutOfTime(Transient):
    """The worker's time is nearly over: it stopped by itself."""

    cause = "out_of_time"


class Unavailable(Transient):
    """A provider is unreachable, overloaded or throttling; the attempt is not charged."""

    cause = "unavailable"


class Auth(Unavailable):
    """A provider refuses our credentials."""

    cause = "auth"
