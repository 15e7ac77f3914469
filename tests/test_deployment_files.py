"""The files that a deployment is made from agree with the code."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ard.product import Product
from ard.settings import AwsSettings, ControlSettings, TableSettings, WorkerSettings
from producer.lithops_config import read_backends, worker_environment
from tests.producing import make_settings

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = json.loads((ROOT / "infra" / "functions.json").read_text())
VISIBILITY_MARGIN_SECONDS = 60


def functions():
    return FUNCTIONS["functions"]


def settings_of(function):
    return [TableSettings, WorkerSettings] if function["handler"].startswith("consumers.") else [ControlSettings]


@pytest.mark.parametrize("function", functions(), ids=lambda function: function["name"])
def test_every_function_has_its_handler(function):
    module, _, name = function["handler"].rpartition(".")

    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("function", functions(), ids=lambda function: function["name"])
def test_every_function_is_told_what_its_settings_require_and_nothing_unknown(function):
    fields = {
        f"TTC_{name.upper()}": field for kind in settings_of(function) for name, field in kind.model_fields.items()
    }
    required = {name for name, field in fields.items() if field.is_required()}

    assert required <= set(function["environment"]) <= set(fields)


@pytest.mark.parametrize("function", functions(), ids=lambda function: function["name"])
def test_a_function_stays_within_lambdas_limits_and_in_its_queues_region(function):
    assert function["timeout_seconds"] + VISIBILITY_MARGIN_SECONDS <= 12 * 3600
    assert function["timeout_seconds"] <= 900
    assert 128 <= function["memory_mb"] <= 10_240
    assert ("queue" in function) != ("schedule_minutes" in function)
    if "queue" in function:
        assert FUNCTIONS["queues"][function["queue"]]["region"] == function["region"]
        assert 2 <= function["max_concurrency"] <= 1000
        assert function["batch_size"] == 1


def test_every_queue_is_drained_by_one_function_and_keeps_messages_for_a_fortnight():
    assert sorted(FUNCTIONS["queues"]) == sorted(f["queue"] for f in functions() if "queue" in f)
    assert {queue["retention_days"] for queue in FUNCTIONS["queues"].values()} == {14}


@pytest.mark.parametrize("name", ["local", "euc1", "usw2"])
def test_lithops_takes_its_configurations(name, tmp_path):
    program = (
        "import json, sys\n"
        "from lithops.config import default_config\n"
        "config = default_config(config_file=sys.argv[1])\n"
        "print(json.dumps({'backend': config['lithops']['backend'], 'storage': config['lithops']['storage'],\n"
        "                  'region': config.get('aws_lambda', {}).get('region'),\n"
        "                  'runtime': config.get('aws_lambda', {}).get('runtime')}))\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}

    command = [sys.executable, "-W", "ignore", "-c", program, str(ROOT / ".lithops" / f"config.{name}.yaml")]
    loaded = json.loads(
        subprocess.run(command, env=environment, check=True, capture_output=True).stdout.splitlines()[-1]
    )

    expected = {
        "local": {"backend": "localhost", "storage": "localhost", "region": None, "runtime": None},
        "euc1": {"backend": "aws_lambda", "storage": "aws_s3", "region": "eu-central-1", "runtime": "ttc-loaders-dev"},
        "usw2": {"backend": "aws_lambda", "storage": "aws_s3", "region": "us-west-2", "runtime": "ttc-loaders-dev"},
    }
    assert loaded == expected[name]


def workers():
    return [function for function in functions() if function["handler"].startswith("consumers.")]


@pytest.mark.parametrize("function", workers(), ids=lambda function: function["name"])
def test_lithops_has_a_configuration_for_every_workers_region_that_gives_it_its_time(function):
    files = [ROOT / ".lithops" / f"config.{name}.yaml" for name in ("euc1", "usw2")]

    (backend,) = [one for one in read_backends(files, aws=AwsSettings()) if one.region == function["region"]]

    assert function["timeout_seconds"] <= backend.seconds < backend.config["aws_lambda"]["runtime_timeout"] <= 900


@pytest.mark.parametrize("function", workers(), ids=lambda function: function["name"])
def test_lithops_can_tell_a_worker_whatever_its_function_is_told_but_secrets(function):
    product = Product(function["name"])
    told = WorkerSettings(**{name: field.default for name, field in WorkerSettings.model_fields.items()}).model_copy(
        update={"dem_compat": "legacy", "dest_region": "us-west-2", "s1_subscription_key_secret": "ttc-dev-key"}
    )

    names = set(worker_environment(product, settings=make_settings([product]), worker=told))

    assert set(function["environment"]) <= names
    assert "TTC_S1_SUBSCRIPTION_KEY" not in {*function["environment"], *names}
