"""Every fact of a deployment that code needs, read from the environment here and nowhere else."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from ard.product import Product
from ard.task import Dest


class AwsSettings(BaseSettings):
    """Where AWS is: the variables that boto3 and Lambda themselves use."""

    model_config = SettingsConfigDict(env_prefix="AWS_", frozen=True)

    endpoint_url: str | None = Field(default=None, description="Set only to use a local AWS instead of the real one.")
    region: str | None = None
    default_region: str | None = None

    @property
    def local_endpoint(self) -> tuple[str, bool] | None:
        """``host:port`` and whether it speaks TLS, when AWS is local."""
        if self.endpoint_url is None:
            return None
        parts = urlsplit(self.endpoint_url)
        return parts.netloc, parts.scheme == "https"


class ProductQueue(BaseModel):
    """A product's queue with its dead-letter queue, and the function that drains it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    dlq_url: str
    region: str
    memory_mb: int
    timeout_seconds: int
    max_concurrency: int


class TableSettings(BaseSettings):
    """Where the truth is kept, and the queues of the products that are deployed (a worker is told only its own)."""

    model_config = SettingsConfigDict(env_prefix="TTC_", frozen=True)

    table: str = Field(description="Name of the status table.")
    table_region: str
    queues: dict[Product, ProductQueue] = Field(description="JSON object: product to its queue.")


class ControlSettings(TableSettings):
    """What the producer and the tracker need besides."""

    control_bucket: str = Field(description="Bucket of requests, receipts and plans.")
    control_region: str
    inbox_queue_url: str
    chunk_queue_url: str
    tile_index: str = Field(description="Tile index Parquet: a file, or s3://bucket/key.")
    default_dest: Dest
    allowed_dests: tuple[Dest, ...] = Field(description="JSON list: requests may write under these destinations only.")
    dest_region: str | None = None
    max_cost_usd: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Jobs that may cost more wait for approval."
    )
    queue_limit: int = Field(
        default=50_000, ge=1, description="Messages in a product's queue above which further chunks of jobs wait."
    )


class WorkerSettings(BaseSettings):
    """What a worker needs to make tiles."""

    model_config = SettingsConfigDict(env_prefix="TTC_", frozen=True)

    stac_url: str = Field(
        default="https://earth-search.aws.element84.com/v1",
        description="STAC API with the DEM and Sentinel-2 collections.",
    )
    dest_region: str | None = Field(
        default=None, description="Region of the output buckets, when it is not the worker's own."
    )
    dem_compat: Literal["legacy"] | None = Field(
        default=None, description="'legacy': slope as in the model's training data (nearest sample, 10 m pixels)."
    )
    s1_stac_url: str = Field(
        default="https://planetarycomputer.microsoft.com/api/stac/v1",
        description="STAC API with the terrain-corrected Sentinel-1 collection.",
    )
    s1_collection: str = Field(default="sentinel-1-rtc", description="Its name: linear gamma nought, assets vv and vh.")
    s1_token_url: str | None = Field(
        default="https://planetarycomputer.microsoft.com/api/sas/v1/token",
        description="Where signatures for its assets come from; empty when they need none.",
    )
    s1_blobs: str = Field(
        default="https://*.blob.core.windows.net",
        description="The store that is told signatures: scheme and host, * for one name of it.",
    )
    s1_subscription_key: SecretStr | None = Field(
        default=None, description="Key for that endpoint; with one it lets a worker in more often. For laptops."
    )
    s1_subscription_key_secret: str | None = Field(
        default=None,
        description="Name or ARN of the Secrets Manager secret that keeps that key; it goes before the key.",
    )
    s2_most_dates: int = Field(default=16, ge=3, le=24, description="Sentinel-2 dates of a tile, at most.")
    live_sources: bool = Field(
        default=False, description="Read scenes from the real buckets although AWS_ENDPOINT_URL names a local AWS."
    )
    git_sha: str = Field(default="unknown", description="Commit that the worker was built from, for provenance.")
