"""Secrets that AWS Secrets Manager keeps: read when they are needed, and told to nobody."""

import logging

from botocore.exceptions import ClientError
from pydantic import SecretStr

from ard.adapters.aws import aws_errors, client, error_code
from ard.errors import Auth

logger = logging.getLogger(__name__)

_NO_VALUE = "ResourceNotFoundException"
_TEXT, _BYTES = "SecretString", "SecretBinary"
_ARN_PARTS = 7
_ATTEMPTS = 3  # the task that needs it comes back by itself
_TELLING_LOGGER = "botocore.parsers"  # repeats whole answers when somebody debugs


def read_secret(name: str) -> SecretStr | None:
    """The text that a secret holds, without white space around it; None when nobody has put one there yet.

    Args:
        name: The secret's ARN, which says in what region it lies, or its name in the region of this process.

    Raises:
        Auth: We may not read it, or what it holds is no text: somebody must act.
        Unavailable: Secrets Manager throttles, fails or cannot be reached.
    """
    logging.getLogger(_TELLING_LOGGER).addFilter(without_secrets)
    with aws_errors(f"secret {name}"):
        try:
            answer = client("secretsmanager", _region(name), attempts=_ATTEMPTS).get_secret_value(SecretId=name)
        except ClientError as error:
            if error_code(error) != _NO_VALUE:
                raise
            answer = {}
    if _BYTES in answer:
        raise Auth(f"secret {name}: expected a text, found bytes")
    text = answer.get(_TEXT, "").strip()
    if not text:
        logger.warning("the secret %s has no value: going on without", name)
        return None
    return SecretStr(text)


def without_secrets(record: logging.LogRecord) -> bool:
    """A logging filter that stops whatever quotes an answer with a secret in it."""
    text = record.getMessage()
    return _TEXT not in text and _BYTES not in text


def _region(name: str) -> str | None:
    parts = name.split(":")
    return parts[3] if len(parts) >= _ARN_PARTS and parts[0] == "arn" else None
