"""The DEM handler with a loader that finds nothing at once: what remains is the control plane."""

from dataclasses import replace
from functools import cache
from typing import Any

from ard.adapters.records import Record, sqs_handler
from ard.errors import NoData
from ard.product import Product
from consumers.handler import handle_record
from consumers.services import Services, from_environment


def nothing(*_: Any) -> Any:
    """A loader without work."""
    raise NoData("a loader without work")


@cache
def _services() -> Services:
    return replace(from_environment(Product.DEM), load=nothing)


def _handle(record: Record, context: Any) -> None:
    handle_record(record, context, _services())


handler = sqs_handler(_handle)
