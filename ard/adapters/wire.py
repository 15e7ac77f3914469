"""Items as DynamoDB spells them on the wire, read five times faster than boto3 does: a status reads all of a job's."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

Item = Mapping[str, Any]

_OK = 200

_to_wire = TypeSerializer().serialize
_any_from_wire: Callable[[Any], Any] = TypeDeserializer().deserialize


def serialise(item: Item) -> dict[str, Any]:
    """An item for the wire."""
    return {name: _to_wire(value) for name, value in item.items()}


def deserialise(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An item from the wire; numbers are Decimal."""
    return {name: _from_wire(value) for name, value in item.items()}


def hand_over_items(client: Any) -> None:
    """Have a boto3 DynamoDB client hand over the items of its queries as they came.

    botocore's own parser looks each value of each attribute up in its model: 100 microseconds an item, where JSON
    takes ten.
    """
    client.meta.events.register("before-parse.dynamodb.Query", _take_items, unique_id="ttc-items")


def _take_items(*, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] != _OK:
        return
    try:
        document = json.loads(response_dict["body"])
    except ValueError:
        return  # botocore says what is wrong with it
    customized_response_dict["Items"] = document.pop("Items", [])
    response_dict["body"] = json.dumps(document).encode()


def _from_wire(value: Mapping[str, Any]) -> Any:
    for kind, content in value.items():
        reader = _READERS.get(kind)
        return reader(content) if reader else _any_from_wire({kind: content})
    raise ValueError("expected a value with its type, found none")


def _same(content: Any) -> Any:
    return content


def _nothing(_: Any) -> None:
    return None


def _list(content: list[Any]) -> list[Any]:
    return [_from_wire(part) for part in content]


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "S": _same,
    "N": Decimal,
    "BOOL": _same,
    "NULL": _nothing,
    "L": _list,
    "M": deserialise,
}
