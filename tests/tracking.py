"""A deployment for the tracker's tests, and the command on it."""

from typer.testing import CliRunner

from ard.product import Product
from tests.engines import REGION
from tests.factories import make_job, make_row
from tracker.cli import app

JOB = "2023-3t-0123456789"


class Console:
    """The command, on a deployment of its own."""

    def __init__(self, cloud):
        self.cloud = cloud
        inbox, chunks = cloud.new_queue()[0], cloud.new_queue()[0]
        self.environment = {
            **cloud.environment,
            "TTC_CONTROL_BUCKET": cloud.bucket,
            "TTC_CONTROL_REGION": REGION,
            "TTC_INBOX_QUEUE_URL": inbox.url,
            "TTC_CHUNK_QUEUE_URL": chunks.url,
            "TTC_TILE_INDEX": "/index.parquet",
            "TTC_DEFAULT_DEST": "s3://tof-output/ttc",
            "TTC_ALLOWED_DESTS": '["s3://tof-output"]',
        }

    def job(self, *rows, total=None, **fields):
        totals = {Product.DEM: len(rows) if total is None else total}
        job = make_job(**{"job_id": JOB, "totals": totals} | fields)
        self.cloud.table.put_job(job)
        self.cloud.table.add_tasks(rows)
        return job

    def run(self, *arguments):
        return CliRunner().invoke(app, list(arguments), env=self.environment)

    def odd_row(self):
        """A row in a state that nobody knows."""
        self.cloud.dynamodb.put_item(
            TableName=self.cloud.table.name,
            Item={
                "PK": {"S": f"JOB#{JOB}#0"},
                "SK": {"S": "TASK#2023#2X2Y#dem"},
                "state": {"S": "DANCING"},
                "product": {"S": "dem"},
                "updated_at": {"N": "1"},
            },
        )


def row(number, state, **fields):
    return make_row(**{"job_id": JOB, "x_tile": number, "state": state, "check_after": None} | fields)
