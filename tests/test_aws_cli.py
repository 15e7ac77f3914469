"""The whole sandbox as an operator uses it: the real AWS CLI drops a request, `tracker` says what became of it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.tiles import demo_tiles

AWS_CLI = "awscli==1.45.11"
PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    """The AWS CLI in an environment of its own: it pins a botocore that is not ours."""
    folder = tmp_path_factory.mktemp("awscli")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installed = subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", AWS_CLI], check=False, capture_output=True
    )
    if installed.returncode:
        pytest.skip(f"{AWS_CLI} cannot be installed here: {installed.stderr.decode()[-200:]}")
    return folder / "bin" / "aws"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A sandbox that runs in the background, and the environment its user exports."""
    folder = tmp_path_factory.mktemp("sandbox")
    up = [script("sandbox"), "up", "--detach", "--catalog", "local-dem", "--folder", folder]
    subprocess.run(up, check=True, timeout=120)
    try:
        lines = subprocess.run(
            ["bash", "-c", f'eval "$({script("sandbox")} env --folder {folder})" && env -0'],
            check=True, capture_output=True,
        ).stdout.decode().split("\0")  # fmt: skip
        yield dict(line.split("=", 1) for line in lines if "=" in line)
    finally:
        subprocess.run([script("sandbox"), "down", "--folder", folder], check=True, timeout=60)


def script(name):
    return str(Path(sys.executable).with_name(name))


def answer(command, environment):
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60).stdout)


def jobs(environment):
    return answer([script("tracker"), "jobs", "--json"], environment)["jobs"]


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s")


def upload(aws, request, key, environment):
    bucket = environment["TTC_CONTROL_BUCKET"]
    subprocess.run([aws, "s3", "cp", request, f"s3://{bucket}/requests/{key}"], env=environment, check=True, timeout=60)

    def receipt():
        listed = subprocess.run(
            [aws, "s3", "ls", f"s3://{bucket}/receipts/requests/"], env=environment, check=False, capture_output=True
        )
        return f"{key}.receipt.json" in listed.stdout.decode()

    assert until(receipt)


def test_an_uploaded_request_becomes_tiles_and_a_second_upload_starts_nothing(aws, environment, tmp_path):
    request = tmp_path / "request.json"
    tiles = [tile.key for tile in demo_tiles()[:3]]
    options = {"products": ["dem"]}
    request.write_text(json.dumps({"project": {"2023": {"missing_tiles": tiles}}, "$options": options}))

    upload(aws, request, "first+1 ü.json", environment)
    (job,) = jobs(environment)

    def ended():
        status = answer([script("tracker"), "status", "--job", job["job"], "--json"], environment)
        return status if status["ended"] else None

    status = until(ended)
    assert status["state"] == "SUCCEEDED"
    assert status["products"]["dem"]["done"] == 3
    upload(aws, request, "again.json", environment)
    assert [entry["job"] for entry in jobs(environment)] == [job["job"]]
    assert answer([script("tracker"), "status", "--job", job["job"], "--json"], environment)["tasks"] == status["tasks"]


def test_a_wrong_request_is_rejected_with_the_place_of_its_mistake(aws, environment, tmp_path):
    request = tmp_path / "wrong.json"
    request.write_text(json.dumps({"project": {"2023": {"missing_tiles": ["1007X872Y", "9999X1Y", "nonsense"]}}}))
    before = jobs(environment)
    bucket = environment["TTC_CONTROL_BUCKET"]

    subprocess.run([aws, "s3", "cp", request, f"s3://{bucket}/requests/wrong.json"], env=environment, check=True)

    def rejection():
        copied = subprocess.run(
            [aws, "s3", "cp", f"s3://{bucket}/receipts/requests/wrong.json.rejected.json", "-"],
            env=environment, check=False, capture_output=True,
        )  # fmt: skip
        return json.loads(copied.stdout) if copied.returncode == 0 else None

    places = [problem["pointer"] for problem in until(rejection)["problems"]]
    assert sorted(places) == ["/project/2023/missing_tiles/1", "/project/2023/missing_tiles/2"]
    assert jobs(environment) == before
