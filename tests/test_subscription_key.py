"""Sentinel-1's subscription key as a secret: read late, read again after a refusal, and told to nobody."""

import json
import logging
import traceback
from uuid import uuid4

import pytest

from ard.adapters.aws import client
from ard.adapters.secrets import read_secret
from ard.adapters.signing import Tokens
from ard.errors import Auth, Unavailable
from ard.settings import WorkerSettings
from consumers.services import _subscription_key
from tests.servers import Answer, serving

REGION, ELSEWHERE = "us-west-2", "eu-central-1"
KEY = "the-key-that-nobody-may-see"


@pytest.fixture
def keep(engine, monkeypatch):
    """Puts a secret into the home region of a local AWS, while this process is in the other one; its ARN."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", engine)
    monkeypatch.setenv("AWS_DEFAULT_REGION", ELSEWHERE)

    def create(**value):
        return client("secretsmanager", REGION).create_secret(Name=f"ttc-{uuid4().hex}", **value)["ARN"]

    return create


def test_a_secret_is_read_in_the_region_of_its_arn_without_white_space(keep):
    arn = keep(SecretString=f" {KEY}\n")

    assert read_secret(arn).get_secret_value() == KEY


def test_a_secret_is_read_by_its_name_in_the_region_of_the_process(keep, monkeypatch):
    name = keep(SecretString=KEY).rpartition(":")[2].rpartition("-")[0]
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)

    assert read_secret(name).get_secret_value() == KEY


def test_a_secret_without_a_value_is_none_and_the_log_says_so(keep, caplog):
    arn = keep()

    assert read_secret(arn) is None
    assert f"{arn} has no value" in caplog.text


def test_a_secret_of_blanks_is_none(keep):
    arn = keep(SecretString=" ")

    assert read_secret(arn) is None


def test_a_secret_of_bytes_is_for_somebody_to_mend(keep):
    arn = keep(SecretBinary=KEY.encode())

    with pytest.raises(Auth, match="expected a text, found bytes"):
        read_secret(arn)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "AccessDeniedException", Auth),
        (400, "ThrottlingException", Unavailable),
        (500, "InternalServiceError", Unavailable),
    ],
)
def test_a_refusal_or_an_outage_is_told_by_its_type(monkeypatch, status, code, error):
    body = json.dumps({"__type": code, "Message": "no"}).encode()
    with serving(lambda *_: Answer(status=status, body=body)) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)

        with pytest.raises(error, match="secret ttc-key: "):
            read_secret("ttc-key")


def test_not_even_a_log_at_its_most_talkative_quotes_the_secret(keep, caplog):
    arn = keep(SecretString=KEY)
    caplog.clear()

    with caplog.at_level(logging.DEBUG):
        read_secret(arn)

    assert "GetSecretValue" in caplog.text, "the search would find something"
    assert KEY not in caplog.text


def test_the_secret_goes_before_the_plain_key(keep):
    arn = keep(SecretString=KEY)

    found = _subscription_key(WorkerSettings(s1_subscription_key_secret=arn, s1_subscription_key="plain"))()

    assert found.get_secret_value() == KEY


def test_a_laptop_needs_no_secrets_manager():
    assert _subscription_key(WorkerSettings(s1_subscription_key="plain"))().get_secret_value() == "plain"
    assert _subscription_key(WorkerSettings())() is None


class Endpoint:
    """A token endpoint that knows one key, and says for how long its tokens last: not at all."""

    def __init__(self, knows):
        self.knows, self.shown = knows, []

    def answer(self, _method, _path, headers):
        self.shown.append(headers.get("Ocp-Apim-Subscription-Key"))
        if self.shown[-1] != self.knows:
            return Answer(status=401)
        return Answer(body=json.dumps({"token": "sig=1", "msft:expiry": "1970-01-01T00:00:00Z"}).encode())


def tokens(url, key):
    ticks = iter(range(0, 10_000_000, 1_000_000))
    return Tokens(url, "s1", subscription_key=key, clock=lambda: float(next(ticks)), sleep=lambda _: None)


def test_the_secret_is_read_once_for_many_tokens(keep):
    arn, read = keep(SecretString=KEY), []
    endpoint = Endpoint(KEY)

    def key():
        read.append(arn)
        return read_secret(arn)

    with serving(endpoint.answer) as url:
        source = tokens(url, key)
        for _ in range(3):
            source.current()

    assert endpoint.shown == [KEY] * 3
    assert len(read) == 1


def test_a_key_that_is_refused_is_read_again_and_no_error_holds_it(keep):
    arn, endpoint = keep(SecretString="an-old-key"), Endpoint(KEY)
    with serving(endpoint.answer) as url:
        source = tokens(url, lambda: read_secret(arn))
        with pytest.raises(Auth) as raised:
            source.current()
        client("secretsmanager", REGION).put_secret_value(SecretId=arn, SecretString=KEY)
        source.current()

    assert endpoint.shown == ["an-old-key", KEY]
    assert "an-old-key" not in "".join(traceback.format_exception(raised.value))
