"""Terraform on this machine: a copy of ``infra`` to work in, providers from a folder, and a limit for every call."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

INFRA = Path(__file__).resolve().parents[1] / "infra"
MIRROR = "TTC_TERRAFORM_MIRROR"

# No look for newer versions, no advice on what to run next, no configuration of the person's own.
_QUIET = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_CONFIG_FILE": os.devnull}


@dataclass(frozen=True, kw_only=True)
class Terraform:
    """A configuration that is initialised, in a folder of its own."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """A command's end; it fails the test when it takes longer."""
        return subprocess.run(
            [program(), *arguments],
            cwd=self.folder,
            env={**os.environ, **_QUIET, **self.environment},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def check(self, *arguments: str, seconds: float) -> str:
        """What a command prints, which must succeed."""
        done = self.run(*arguments, seconds=seconds)
        assert done.returncode == 0, f"terraform {arguments[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout


def program() -> str:
    """Terraform's path; the test is skipped where there is none."""
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("terraform is not installed")
    return found


def initialised(folder: Path, *, environment: Mapping[str, str] | None = None) -> Terraform:
    """A copy of ``infra`` in a folder, whose state lies there too; the test is skipped where there is no provider."""
    program()
    mirror = os.environ.get(MIRROR)
    if not mirror:
        pytest.skip(f"the AWS provider is not on this machine: {MIRROR} names no folder of providers")
    shutil.copytree(INFRA, folder / "infra", ignore=shutil.ignore_patterns(".terraform*", "backend.tf"))
    rules = folder / "terraform.rc"
    rules.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{Path(mirror).resolve()}"\n  }}\n}}\n'
    )
    terraform = Terraform(
        folder=folder / "infra", environment={"TF_CLI_CONFIG_FILE": str(rules), **(environment or {})}
    )
    terraform.check("init", "-input=false", "-no-color", seconds=120)
    return terraform
