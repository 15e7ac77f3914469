"""The sandbox's STAC API: ``rustac serve`` over files of items, for as long as somebody needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sandbox.children import HOST, answers, free_port, program, server

CatalogName = Literal["local", "local-dem", "earth-search"]


@contextmanager
def serve_catalogue(*items: Path, start_seconds: float = 15.0, log: Path | None = None) -> Iterator[str]:
    """Serve files of STAC items on a free port of the loopback interface; yields the API's address.

    Search by collections, bbox, intersects, datetime and ids, with paging; a collection without items in the box, or
    without any, answers with none. The server ignores ``query``, ``filter`` and ``sortby``.

    The process ends with the context. On Linux it also ends when the thread that entered the context ends for
    whatever reason, SIGKILL included: enter it from a thread that lives as long.

    Args:
        items: GeoJSON feature collections of STAC items.
        start_seconds: How long the server may take until it answers.
        log: What the server says is added here.

    Raises:
        Unavailable: ``rustac`` is not installed, or it does not answer in time; with what it said last.
    """
    port = free_port()
    command = [program("rustac"), "serve", "--addr", f"{HOST}:{port}", "--use-duckdb", "false", "--create-collections"]
    with server(
        [*command, *map(str, items)],
        what=f"the catalogue on {HOST}:{port}",
        ready=lambda: answers(port, "/conformance"),
        start_seconds=start_seconds,
        log=log,
    ):
        yield f"http://{HOST}:{port}"
