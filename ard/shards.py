"""How a job's rows spread over partitions of the status table."""

from zlib import crc32

ONE_SHARD_BELOW = 10_000
TASKS_PER_SHARD = 4_000  # whose small sides fit into one page of a query
MOST_SHARDS = 64
DUE_PARTITIONS = 4


def shard_count(tasks: int) -> int:
    """Partitions for a job of so many tasks: 1 below 10,000, at most 64."""
    return 1 if tasks < ONE_SHARD_BELOW else min(-(-tasks // TASKS_PER_SHARD), MOST_SHARDS)


def shard_of(tile: str, shards: int) -> int:
    """The partition of a tile's tasks; the same in every process and version."""
    return crc32(tile.encode()) % shards
