"""A server of files by ranges that is as far away and as narrow as it is told: ``python -m benchmarks.bench_server``.

It prints its port. ``GET /-/counts`` tells what was asked since the last time that somebody did.
"""

import argparse
import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

_CHUNK_BYTES = 64 * 1024
_WINDOW_BYTES = 1024 * 1024  # of an answer that may wait in the socket


class Line:
    """Bandwidth that all answers share."""

    def __init__(self, megabytes_per_second: float | None) -> None:
        self._rate = megabytes_per_second * 1e6 if megabytes_per_second else None
        self._free_at = 0.0

    async def carry(self, count: int) -> None:
        """Wait until so many bytes have passed."""
        if self._rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + count / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


class Server:
    """Serves a folder; every request waits for its first byte, and every connection for its first request."""

    def __init__(self, folder: Path, *, first_byte: float, connect: float, line: Line) -> None:
        self._folder, self._first_byte, self._connect, self._line = folder, first_byte, connect, line
        self._counts: Counter[str] = Counter()
        self._open: dict[Path, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's requests."""
        writer.transport.set_write_buffer_limits(high=_WINDOW_BYTES)
        self._counts["connections"] += 1
        wait = self._first_byte + self._connect
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = request.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                if target == "/-/counts":
                    self._tell(writer)
                else:
                    await asyncio.sleep(wait)
                    await self._answer(writer, method, unquote(urlsplit(target).path), headers.get("range"))
                await writer.drain()
                wait = self._first_byte
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _tell(self, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(self._counts).encode()
        self._counts.clear()
        writer.write(_head("200 OK", len(body), ""))
        writer.write(body)

    async def _answer(self, writer: asyncio.StreamWriter, method: str, path: str, wanted: str | None) -> None:
        self._counts["requests"] += 1
        self._counts["HEAD"] += method == "HEAD"
        file = self._folder / path.lstrip("/")
        if not file.is_file():
            writer.write(_head("404 Not Found", 0, ""))
            return
        if file not in self._open:
            self._open[file] = os.open(file, os.O_RDONLY)
        size = os.fstat(self._open[file]).st_size
        first, last, status, extra = 0, size - 1, "200 OK", ""
        if wanted:
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or size - 1), size - 1)
            status, extra = "206 Partial Content", f"Content-Range: bytes {first}-{last}/{size}\r\n"
        writer.write(_head(status, last - first + 1, extra))
        if method == "HEAD":
            return
        for start in range(first, last + 1, _CHUNK_BYTES):
            part = os.pread(self._open[file], min(_CHUNK_BYTES, last + 1 - start), start)
            await self._line.carry(len(part))
            self._counts["bytes"] += len(part)
            writer.write(part)
            await writer.drain()


def _head(status: str, length: int, extra: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nAccept-Ranges: bytes\r\nContent-Type: image/tiff\r\n"
        f"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n{extra}\r\n"
    ).encode()


async def _main(folder: Path, *, first_byte: float, connect: float, megabytes: float | None) -> None:
    server = Server(folder, first_byte=first_byte, connect=connect, line=Line(megabytes))
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512) as listening:
        print(listening.sockets[0].getsockname()[1], flush=True)
        await listening.serve_forever()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first-byte-ms", type=float, default=30)
    parser.add_argument("--connect-ms", type=float, default=5)
    parser.add_argument("--megabytes-per-second", type=float, default=None)
    return parser.parse_args()


if __name__ == "__main__":
    told = _arguments()
    asyncio.run(
        _main(
            told.folder,
            first_byte=told.first_byte_ms / 1000,
            connect=told.connect_ms / 1000,
            megabytes=told.megabytes_per_second,
        )
    )
