"""JSON from outside: read within limits, with what a dict would hide, and words for what was found."""

import json
import re
from dataclasses import dataclass

import numpy as np

from producer.request import Limits, Problems, decode, rejected, shown

POINTER_CHARACTERS = 80

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}:'))
_STRING = re.compile(rb'"[^"]*"')


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object with its members as written: a dict would hide that a name is there twice."""

    members: list[tuple[str, object]]


def parse_json(raw: bytes, limits: Limits) -> object:
    """The value that a JSON text holds, its objects as ``JsonObject``.

    Raises:
        RequestRejected: It is not JSON, or larger or deeper than the limits.
    """
    text = decode(raw, limits)
    _check_nesting(raw, limits)
    try:
        value: object = json.loads(text, object_pairs_hook=JsonObject)
    except json.JSONDecodeError as error:
        raise rejected(f"expected JSON, found {error.msg!r} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:  # Python converts no number of more than 4300 digits
        raise rejected("expected JSON with reasonable numbers, found one of thousands of digits") from error
    return value


def members(value: object, place: str, problems: Problems) -> list[tuple[str, object]]:
    """The members of an object; none, and a problem, where there is no object. A name used twice is a problem too."""
    if not isinstance(value, JsonObject):
        problems.add(place, f"expected an object, found {found(value)}")
        return []
    seen: set[str] = set()
    for name, _ in value.members:
        if name in seen:
            problems.add(place + pointer(name), "expected a name once, found it again at the same level")
        seen.add(name)
    return value.members


def pointer(*parts: str | int) -> str:
    """The RFC 6901 pointer to a value, fit for people: long names cut, unprintable characters escaped."""
    return "".join(f"/{_printable(str(part)).replace('~', '~0').replace('/', '~1')}" for part in parts)


def found(value: object) -> str:
    """A value in few words, safe to print."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, JsonObject | dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value)[:POINTER_CHARACTERS]


def _check_nesting(raw: bytes, limits: Limits) -> None:
    """Pass a text that the JSON parser can read without deep recursion or millions of little objects.

    Only quotes, brackets and colons matter, once escaped quotes are gone, and taking away two quotes that stand side by
    side does not change which brackets are inside a string. In a text that is not JSON this holds up to the
    first error, where the parser stops. Lists that hold no list or object are counted by themselves: every
    position of an area is one.
    """
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    brackets = _STRING.sub(b"", plain.translate(None, _NOT_STRUCTURE).replace(b'""', b""))
    flat = brackets.count(b"[]")
    if flat > limits.max_containers + limits.max_vertices:
        most = limits.max_containers + limits.max_vertices
        raise rejected(f"expected at most {most:,} positions and other lists of plain values, found {flat:,}")
    containers = brackets.count(b"[") + brackets.count(b"{") - flat
    if containers > limits.max_containers:
        raise rejected(
            f"expected at most {limits.max_containers:,} objects and lists of lists or objects, found {containers:,}"
        )
    names = brackets.count(b":")
    if names > limits.max_members:
        raise rejected(f"expected at most {limits.max_members:,} members of objects, found {names:,}")
    codes = np.frombuffer(brackets, dtype=np.uint8)
    opens = np.isin(codes, np.frombuffer(b"[{", dtype=np.uint8)).astype(np.int64)
    closes = np.isin(codes, np.frombuffer(b"]}", dtype=np.uint8)).astype(np.int64)
    depth = int(np.cumsum(opens - closes).max(initial=0))
    if depth > limits.max_depth:
        raise rejected(f"expected at most {limits.max_depth} levels of lists and objects, found {depth:,}")


def _printable(name: str) -> str:
    cut = name if len(name) <= POINTER_CHARACTERS else name[:POINTER_CHARACTERS] + "..."
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in cut
    )
