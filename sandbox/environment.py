"""The environment of everything that talks to the local AWS: nothing of the person's own account is left in it."""

import os
from collections.abc import Mapping

# Variables of the person's own account and deployments, by prefix: the local ones take their place.
_REPLACED = ("AWS_", "TTC_")
_LOOPBACK = "127.0.0.1,localhost"
# What a program needs of the machine it runs on.
_OF_THE_MACHINE = {
    "CURL_CA_BUNDLE",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "TEMP",
    "TMP",
    "TMPDIR",
}


def local_aws(endpoint: str, region: str) -> dict[str, str]:
    """What points boto3, obstore and our settings at a local AWS, and at nothing else."""
    # A proxy of the machine must not be asked for what runs on the machine itself.
    direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    if _LOOPBACK not in direct:
        direct = ",".join(filter(None, (direct, _LOOPBACK)))
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def machine_environment() -> dict[str, str]:
    """The few variables that any program on this machine needs, and none that names an account."""
    return {name: value for name, value in os.environ.items() if name.upper() in _OF_THE_MACHINE}


def replaced_names() -> list[str]:
    """Names of the present environment's variables that must not be seen in the sandbox."""
    return sorted(name for name in os.environ if name.startswith(_REPLACED))


def enter(local: Mapping[str, str]) -> None:
    """Make this process a part of the sandbox: its AWS clients are local from now on."""
    for name in replaced_names():
        del os.environ[name]
    os.environ.update(local)
