"""A look at a TIFF's directories before they are parsed: async-tiff trusts their chain and their counts."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

MOST_DIRECTORIES = 32
MOST_ENTRIES = 200
MOST_VALUES = 2**20  # of a tag; a tile's place and its size are two of them


class UnknownLayout(Exception):
    """The file is none of those whose pixels ``ard.adapters.tiff_blocks`` decodes."""


@dataclass(frozen=True, slots=True)
class _Format:
    """How numbers stand in a file: its first directory's place, a directory's count, an entry, the next one's place."""

    first: tuple[int, str]
    count: str
    entry: str
    following: str


_FORMATS = {
    b"II*\0": _Format((4, "<I"), "<H", "<HHI4x", "<I"),
    b"MM\0*": _Format((4, ">I"), ">H", ">HHI4x", ">I"),
    b"II+\0": _Format((8, "<Q"), "<Q", "<HHQ8x", "<Q"),
    b"MM\0+": _Format((8, ">Q"), ">Q", ">HHQ8x", ">Q"),
}


def check_directories(read: Callable[[int, int], bytes]) -> None:
    """Pass when the directories of a file, which ``read(start, end)`` gives bytes of, can be parsed.

    Raises:
        UnknownLayout: It is no TIFF, its directories lead nowhere or to each other, or a tag is too large.
    """
    found = _FORMATS.get(read(0, 4))
    if found is None:
        raise UnknownLayout("expected a TIFF")
    at, kind = found.first
    place = _number(read, at, kind)
    seen: set[int] = set()
    while place:
        if place in seen or len(seen) == MOST_DIRECTORIES:
            raise UnknownLayout(f"expected {MOST_DIRECTORIES} directories at most, each once")
        seen.add(place)
        count = _number(read, place, found.count)
        if count > MOST_ENTRIES:
            raise UnknownLayout(f"expected {MOST_ENTRIES} tags at most, found {count}")
        start, size = place + struct.calcsize(found.count), struct.calcsize(found.entry)
        end = start + count * size
        entries = _exactly(read, start, end)
        if any(values > MOST_VALUES for _, _, values in struct.iter_unpack(found.entry, entries)):
            raise UnknownLayout(f"expected {MOST_VALUES} values of a tag at most")
        place = _number(read, end, found.following)


def _number(read: Callable[[int, int], bytes], at: int, kind: str) -> int:
    (value,) = struct.unpack(kind, _exactly(read, at, at + struct.calcsize(kind)))
    return int(value)


def _exactly(read: Callable[[int, int], bytes], start: int, end: int) -> bytes:
    found = read(start, end)
    if len(found) < end - start:
        raise UnknownLayout(f"expected a directory at {start}, found the end of the file")
    return found
