"""The Terraform configuration, on a provider that only pretends: it agrees with the code and with functions.json."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ard.adapters.table_items import SCHEMA
from ard.keys import RECEIPTS, REQUESTS, plan_key
from ard.settings import ControlSettings, TableSettings, WorkerSettings
from ard.transitions import VISIBILITY_MARGIN_SECONDS
from producer.intake import REQUEST_SUFFIX
from sandbox.functions import FunctionSpec, read_functions
from tests.terraforming import INFRA, Terraform, initialised

pytestmark = pytest.mark.timeout(700)  # most of it is the start of the provider, time and again

FUNCTIONS = read_functions()
WHOLE = "tests/deployment.tftest.hcl"
MODULES = {"eu-central-1": "module.euc1", "us-west-2": "module.usw2"}


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What Terraform would make of the real list of functions: resources by address, and outputs."""

    resources: dict[str, dict[str, Any]]
    outputs: dict[str, Any]

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        return {address: values for address, values in self.resources.items() if f".{kind}." in f".{address}"}

    def function(self, function: FunctionSpec) -> dict[str, Any]:
        return self.resources[f'{MODULES[function.region]}.aws_lambda_function.function["{function.name}"]']

    def variables(self, function: FunctionSpec) -> dict[str, str]:
        return self.function(function)["environment"][0]["variables"]

    def statements(self, function: FunctionSpec) -> list[dict[str, Any]]:
        address = f'{MODULES[function.region]}.aws_iam_role_policy.function["{function.name}"]'
        return json.loads(self.resources[address]["policy"])["Statement"]


@pytest.fixture(scope="module")
def terraform(tmp_path_factory) -> Terraform:
    return initialised(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="module")
def told(terraform) -> list[dict[str, Any]]:
    """What ``terraform test`` says; of the whole deployment also what it made, which is long."""
    files = sorted(path.relative_to(INFRA).as_posix() for path in INFRA.glob("tests/*.tftest.hcl"))
    whole, parts = [name for name in files if name == WHOLE], [name for name in files if name != WHOLE]
    said = [
        terraform.run("test", "-json", *options, *(f"-filter={name}" for name in names), seconds=280).stdout
        for names, options in ((whole, ["-verbose"]), (parts, []))
    ]
    return [json.loads(line) for text in said for line in text.splitlines()]


@pytest.fixture(scope="module")
def deployed(told) -> Deployed:
    (state,) = (
        event["test_state"] for event in told if event["type"] == "test_state" and event["@testrun"] == "deployment"
    )
    outputs = {name: output["value"] for name, output in state["outputs"].items()}
    return Deployed(resources=dict(_resources(state["root_module"])), outputs=outputs)


def _resources(module: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in module.get("resources", ()):
        yield resource["address"], resource["values"]
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def each_function() -> Any:
    return pytest.mark.parametrize("function", FUNCTIONS.functions, ids=lambda function: function.name)


def each_queue() -> Any:
    return pytest.mark.parametrize("name", FUNCTIONS.queues)


def test_configuration_is_formatted():
    done = Terraform(folder=INFRA).run("fmt", "-check", "-recursive", "-diff", seconds=60)

    assert (done.returncode, done.stdout) == (0, "")


def test_configuration_is_valid(terraform):
    answer = json.loads(terraform.run("validate", "-json", seconds=120).stdout)

    assert answer["valid"], answer["diagnostics"]
    assert answer["warning_count"] == 0


def test_provider_is_pinned_to_one_version():
    assert re.search(r'version = "\d+\.\d+\.\d+"', (INFRA / "versions.tf").read_text())


def test_terraforms_own_tests_pass(told):
    written = sum(path.read_text().count("\nrun ") for path in INFRA.glob("tests/*.tftest.hcl"))
    problems = [event["diagnostic"]["detail"] for event in told if event["type"] == "diagnostic"]

    ends = [event["test_run"]["status"] for event in told if event["type"] == "test_run" and _is_end(event)]
    assert problems == []
    assert ends == ["pass"] * written


def _is_end(event: dict[str, Any]) -> bool:
    return event["test_run"].get("progress") == "complete"


@each_function()
def test_function_is_deployed_as_the_list_says(deployed, function):
    found = deployed.function(function)

    assert found["image_config"][0]["command"] == [function.handler]
    assert (found["memory_size"], found["timeout"]) == (function.memory_mb, function.timeout_seconds)
    assert found["function_name"] == f"ttc-test-{function.name}"


@each_function()
def test_function_is_told_what_its_settings_need_and_its_list_names(deployed, function, monkeypatch):
    variables = deployed.variables(function)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    worker = function.handler.startswith("consumers.")
    settings = TableSettings() if worker else ControlSettings()
    assert set(variables) <= set(function.environment)
    assert set(settings.queues) == ({function.queue} if worker else {"dem", "s1", "s2"})
    assert not worker or WorkerSettings().git_sha == "0123abc"


def test_tools_are_told_all_that_their_settings_need_and_nothing_unknown(deployed, monkeypatch):
    told = deployed.outputs["environment"]
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    settings = ControlSettings()
    assert set(told) <= {f"TTC_{name.upper()}" for name in ControlSettings.model_fields}
    assert settings.default_dest in settings.allowed_dests
    assert settings.queues["s2"].max_concurrency == FUNCTIONS.draining("s2").max_concurrency
    assert {str(product): queue.region for product, queue in settings.queues.items()} == {
        product: FUNCTIONS.queues[product].region for product in ("dem", "s1", "s2")
    }


@each_queue()
def test_queue_outlasts_its_function_by_the_margin_of_a_lease(deployed, name):
    spec, module = FUNCTIONS.queues[name], MODULES[FUNCTIONS.queues[name].region]
    queue = deployed.resources[f'{module}.aws_sqs_queue.work["{name}"]']
    dead = deployed.resources[f'{module}.aws_sqs_queue.dead["{name}"]']

    function = FUNCTIONS.draining(name)
    assert queue["visibility_timeout_seconds"] == function.timeout_seconds + VISIBILITY_MARGIN_SECONDS
    assert json.loads(queue["redrive_policy"])["maxReceiveCount"] == spec.max_receives
    assert queue["message_retention_seconds"] == dead["message_retention_seconds"] == spec.retention_days * 86_400


@each_queue()
def test_queue_feeds_its_function_as_the_list_says(deployed, name):
    function = FUNCTIONS.draining(name)
    mapping = deployed.resources[f'{MODULES[function.region]}.aws_lambda_event_source_mapping.queue["{function.name}"]']

    assert mapping["function_response_types"] == ["ReportBatchItemFailures"]
    assert mapping["batch_size"] == function.batch_size
    assert mapping["scaling_config"][0]["maximum_concurrency"] == function.max_concurrency


@each_function()
def test_permissions_name_what_they_are_for(deployed, function):
    for statement in deployed.statements(function):
        actions, resources = statement["Action"], statement["Resource"]
        assert statement["Effect"] == "Allow"
        assert actions and not [action for action in actions if "*" in action]
        assert resources and not [resource for resource in resources if "ttc-test-" not in resource]
        assert not [resource for resource in resources if "*" in resource.rstrip("*")]


@each_function()
def test_function_has_a_role_of_its_own_that_only_lambda_takes(deployed, function):
    role = deployed.resources[f'{MODULES[function.region]}.aws_iam_role.function["{function.name}"]']

    (statement,) = json.loads(role["assume_role_policy"])["Statement"]
    assert role["name"] == f"ttc-test-{function.name}-{function.region}"
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_permissions_and_notification_spell_keys_as_the_code_does(deployed):
    (notification,) = deployed.all("aws_s3_bucket_notification").values()
    inbox, reconcile = (next(f for f in FUNCTIONS.functions if f.name == name) for name in ("inbox", "reconcile"))
    resources = {s["Sid"]: s["Resource"][0].partition("123456789012/")[2] for s in deployed.statements(inbox)}
    (listing,) = (s for s in deployed.statements(reconcile) if s["Sid"] == "ListRequestsAndReceipts")

    assert notification["queue"][0]["filter_prefix"] == REQUESTS
    assert notification["queue"][0]["filter_suffix"] == REQUEST_SUFFIX
    assert (resources["Requests"], resources["Receipts"]) == (f"{REQUESTS}*", f"{RECEIPTS}*")
    assert plan_key("job").startswith(resources["Plans"].removesuffix("*"))
    assert listing["Condition"]["StringLike"]["s3:prefix"] == [f"{REQUESTS}*", f"{RECEIPTS}*"]


def test_table_is_the_one_that_the_code_reads(deployed):
    (table,) = deployed.all("aws_dynamodb_table").values()
    indexes = [
        {
            "IndexName": index["name"],
            "KeySchema": _keys(index),
            "Projection": {"ProjectionType": index["projection_type"]}
            | ({"NonKeyAttributes": sorted(index["non_key_attributes"])} if index["non_key_attributes"] else {}),
        }
        for index in sorted(table["global_secondary_index"], key=lambda index: index["name"])
    ]

    wanted = [dict(index) for index in SCHEMA["GlobalSecondaryIndexes"]]
    for index in wanted:
        if "NonKeyAttributes" in index["Projection"]:
            index["Projection"] = index["Projection"] | {
                "NonKeyAttributes": sorted(index["Projection"]["NonKeyAttributes"])
            }
    attributes = {(a["AttributeName"], a["AttributeType"]) for a in SCHEMA["AttributeDefinitions"]}
    assert {(attribute["name"], attribute["type"]) for attribute in table["attribute"]} == attributes
    assert _keys(table) == SCHEMA["KeySchema"]
    assert table["billing_mode"] == SCHEMA["BillingMode"]
    assert indexes == sorted(wanted, key=lambda index: index["IndexName"])


def _keys(place: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"AttributeName": place["hash_key"], "KeyType": "HASH"},
        {"AttributeName": place["range_key"], "KeyType": "RANGE"},
    ]


def test_no_bucket_is_public_plain_or_unversioned(deployed):
    buckets = deployed.all("aws_s3_bucket")
    closed = deployed.all("aws_s3_bucket_public_access_block")
    policies = [json.loads(policy["policy"])["Statement"] for policy in deployed.all("aws_s3_bucket_policy").values()]

    assert len(buckets) == len(closed) == len(policies) == 2
    assert all(
        values
        for block in closed.values()
        for name, values in block.items()
        if name.startswith(("block", "ignore", "restrict"))
    )
    assert all([s["Effect"] for s in statements] == ["Deny"] for statements in policies)
    assert {v["versioning_configuration"][0]["status"] for v in deployed.all("aws_s3_bucket_versioning").values()} == {
        "Enabled"
    }
    assert len(deployed.all("aws_s3_bucket_server_side_encryption_configuration")) == 2


def test_every_alarm_tells_somebody_and_every_dead_letter_queue_has_one(deployed):
    alarms = deployed.all("aws_cloudwatch_metric_alarm")
    watched = {alarm["dimensions"]["QueueName"] for address, alarm in alarms.items() if ".dead_letters[" in address}

    assert watched == {f"ttc-test-{name}-dlq" for name in FUNCTIONS.queues}
    assert all(alarm["alarm_actions"] and alarm["ok_actions"] for alarm in alarms.values())
