"""Objects in a bucket or a folder, through obstore; every write is one atomic put."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from ard.errors import ArdError, Auth, InvalidInput, Unavailable
from ard.settings import AwsSettings
from ard.task import parse_dest

_CONTENT_TYPES = {
    "csv": "text/csv",
    "hkl": "application/x-hdf5",
    "json": "application/geo+json",
    "parquet": "application/vnd.apache.parquet",
    "png": "image/png",
    "tif": "image/tiff; application=geotiff; profile=cloud-optimized",
}


_PIECE_BYTES = 2**20


class TooLarge(InvalidInput):
    """An object is larger than its reader allows."""


class Store:
    """Objects under one prefix. Only "there is no such object" means missing; every other failure is an error.

    All methods raise ``Unavailable`` when the store cannot be asked, ``Auth`` when it refuses and ``InvalidInput`` when
    there is no such bucket to write to.
    """

    def __init__(self, backend: ObjectStore, name: str) -> None:
        """Wrap a backend; ``name`` is how messages call it."""
        self._backend = backend
        self.name = name

    @classmethod
    def open(cls, dest: str, *, aws: AwsSettings, region: str | None = None) -> Self:
        """The store of a destination, ``s3://bucket/prefix`` or an absolute folder (made when absent).

        Raises:
            InvalidInput: The destination is neither.
        """
        plain = parse_dest(dest)
        if plain.startswith("/"):
            return cls(LocalStore(Path(plain), mkdir=True), plain)
        parts = urlsplit(plain)
        backend = S3Store(
            parts.netloc,
            prefix=parts.path.lstrip("/") or None,
            region=region or aws.region or aws.default_region or "us-east-1",
            client_options={"allow_http": aws.local_endpoint is not None},
        )
        return cls(backend, plain)

    @classmethod
    def in_memory(cls) -> Self:
        """An empty store that lives as long as the value."""
        return cls(MemoryStore(), "memory:")

    def put(self, key: str, content: bytes) -> None:
        """Write an object whole, or not at all."""
        attributes = {"Content-Type": _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")}
        try:
            # Local files have no content type, and obstore refuses to pretend.
            local = isinstance(self._backend, LocalStore)
            obstore.put(self._backend, key, content, attributes=None if local else attributes)
        except (BaseError, OSError) as error:
            raise self._translate(error, key) from error

    def get(self, key: str, *, version: str | None = None, most_bytes: int | None = None) -> bytes | None:
        """An object's content; None when there is no such object.

        Args:
            key: Its name.
            version: One version of it, where the bucket keeps them; else the latest.
            most_bytes: How large it may be.

        Raises:
            TooLarge: It is larger than that, and was not read.
        """
        try:
            found = obstore.get(self._backend, key, options={"version": version} if version else None)
            size = int(found.meta["size"])
            if most_bytes is not None and size > most_bytes:
                raise TooLarge(f"expected at most {most_bytes:,} bytes, found {size:,}")
            return bytes(found.bytes())
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise self._translate(error, key) from error

    def size(self, key: str) -> int | None:
        """An object's size in bytes; None when there is no such object."""
        try:
            return int(obstore.head(self._backend, key)["size"])
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise self._translate(error, key) from error

    def sha256(self, key: str) -> str | None:
        """The SHA-256 of an object's content, hexadecimal, read piece by piece; None when there is no such object."""
        digest = hashlib.sha256()
        try:
            for part in obstore.get(self._backend, key).stream(min_chunk_size=_PIECE_BYTES):
                digest.update(part)
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise self._translate(error, key) from error
        return digest.hexdigest()

    def delete(self, key: str) -> None:
        """See that there is no such object."""
        try:
            obstore.delete(self._backend, key)
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise self._translate(error, key) from error

    def list(self, prefix: str) -> dict[str, int]:
        """The sizes of all objects under a prefix, by key."""
        return {key: size for page in self._pages(prefix) for key, size in page}

    def modified(self, prefix: str) -> dict[str, tuple[int, float]]:
        """The size of every object under a prefix and when it was last written, seconds since the epoch, by key."""
        return {
            entry["path"]: (entry["size"], entry["last_modified"].timestamp())
            for page in self._entries(prefix)
            for entry in page
        }

    def list_few(self, prefix: str, most: int) -> dict[str, int] | None:
        """The sizes of all objects under a prefix, by key; None when there are more than so many."""
        found: dict[str, int] = {}
        for page in self._pages(prefix):
            found.update(page)
            if len(found) > most:
                return None
        return found

    def _pages(self, prefix: str) -> Iterator[Iterable[tuple[str, int]]]:
        for page in self._entries(prefix):
            yield [(entry["path"], entry["size"]) for entry in page]

    def _entries(self, prefix: str) -> Iterator[Sequence[Any]]:
        try:
            yield from obstore.list(self._backend, prefix)
        except (BaseError, OSError) as error:
            raise self._translate(error, prefix) from error

    def _translate(self, error: BaseError | OSError, key: str) -> ArdError:
        """Obstore raises some of Python's own errors beside its own."""
        message = f"{self.name}/{key}: {error!s:.300}"
        if isinstance(error, FileNotFoundError):  # of a put: there is no such bucket
            return InvalidInput(message)
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            return Auth(message)
        return Unavailable(message)
