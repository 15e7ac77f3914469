"""The local AWS as a process, on both implementations."""

import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ard.adapters.aws import client
from ard.adapters.queues import Outgoing
from ard.task import TileTask
from sandbox.engine import start_engine
from tests.factories import make_task


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def test_cloud_has_a_table_and_a_queue_that_work(cloud):
    cloud.queue.send([Outgoing(body=make_task().model_dump_json(), attributes={"fence": "7"})])

    (message,) = cloud.queue.receive(visible_again_seconds=5)
    assert TileTask.model_validate_json(message.body) == make_task()
    assert message.attributes == {"fence": "7"}
    assert cloud.table.job("2023-1t-0123456789") is None


def test_cloud_of_one_test_is_not_that_of_another(cloud):
    assert cloud.queue.depth() == cloud.dlq.depth() == 0


def test_second_receive_too_many_sends_a_message_to_the_dead_letter_queue(cloud):
    queue, dlq = cloud.new_queue(max_receives=1)
    queue.send([Outgoing(body="poison")])

    assert [message.body for message in queue.receive(visible_again_seconds=0)] == ["poison"]
    assert queue.receive(visible_again_seconds=0) == []
    assert [message.body for message in dlq.receive(visible_again_seconds=0)] == ["poison"]


@pytest.mark.skipif(sys.platform != "linux", reason="listening sockets are looked up in /proc")
@pytest.mark.parametrize("name", ["moto", "ministack"])
def test_engine_listens_on_loopback_only_and_leaves_nothing_behind(name, tmp_path):
    pytest.importorskip(name)
    with start_engine(name, tmp_path) as url:
        listening = subprocess.run(
            [sys.executable, "-c", LISTENERS, str(port_of(url))], capture_output=True, text=True, check=True
        ).stdout.split()

    assert listening == ["0100007F"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(url)), timeout=5).close()


# Local addresses (hexadecimal) of the sockets that listen on a port.
LISTENERS = """
import sys
from pathlib import Path

for table in ("tcp", "tcp6"):
    for line in Path("/proc/net", table).read_text().splitlines()[1:]:
        address, port = line.split()[1].split(":")
        if int(port, 16) == int(sys.argv[1]) and line.split()[3] == "0A":
            print(address)
"""


def test_ministack_finds_its_queues_tables_and_objects_again(tmp_path: Path, monkeypatch):
    pytest.importorskip("ministack")
    with start_engine("ministack", tmp_path) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        sqs = client("sqs", "eu-central-1")
        queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody="waiting")
        s3 = client("s3", "us-west-2")
        s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket="kept", Key="one", Body=b"1")

    with start_engine("ministack", tmp_path) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        sqs, s3 = client("sqs", "eu-central-1"), client("s3", "us-west-2")
        found = sqs.receive_message(QueueUrl=sqs.get_queue_url(QueueName="kept")["QueueUrl"])["Messages"]
        content = s3.get_object(Bucket="kept", Key="one")["Body"].read()

    assert [message["Body"] for message in found] == ["waiting"]
    assert content == b"1"
