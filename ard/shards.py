"""How a job's rows spread over partitions of the status table."""

from zlib import crc32

TASKS_PER_SHARD = 10_000
MOST_SHARDS = 64
DUE_PARTITIONS = 4


def shard_count(tasks: int) -> int:
    """Partitions for a job of so many tasks: 1 below 10,000, at most 64."""
    return min(max(1, -(-tasks // TASKS_PER_SHARD)), MOST_SHARDS)


def shard_of(tile: str, shards: int) -> int:
    """The partition of a tile's tasks; the same in every process and version."""
    return crc32(tile.encode()) % shards
