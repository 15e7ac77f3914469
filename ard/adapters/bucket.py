"""What lies in a bucket, by the names people gave: also those that obstore refuses to list."""

from typing import Any

from ard.adapters.aws import aws_errors


class Bucket:
    """One bucket, seen from outside."""

    def __init__(self, client: Any, name: str) -> None:
        """Wrap a boto3 S3 client of the bucket's region; nothing is contacted yet."""
        self._client = client
        self.name = name

    def modified(self, prefix: str) -> dict[str, float]:
        """When each object under a prefix was last written, seconds since the epoch, by key.

        Raises:
            Unavailable: The bucket cannot be asked.
            Auth: It refuses.
            InvalidInput: There is no such bucket.
        """
        with aws_errors(f"s3://{self.name}/{prefix}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
            return {
                entry["Key"]: entry["LastModified"].timestamp() for page in pages for entry in page.get("Contents", ())
            }
