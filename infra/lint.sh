#!/bin/sh
# Checks the infrastructure with whatever of terraform, checkov and hadolint is installed, and says what is not.
# Usage: infra/lint.sh [folder of further programs]
set -eu
cd "$(dirname "$0")/.."
PATH="${1:-.venv/bin}:$PATH"

missing() { echo "infra: $1 is not checked: $2" >&2; }

if ! command -v terraform >/dev/null; then
    missing 'the configuration' 'terraform is not installed'
else
    terraform fmt -check -diff -recursive infra
    if [ -d infra/.terraform ]; then
        terraform -chdir=infra validate
    elif [ -n "${TTC_TERRAFORM_MIRROR:-}" ]; then
        copy=$(mktemp -d)
        trap 'rm -rf "$copy"' EXIT
        cp -r infra "$copy"
        printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$TTC_TERRAFORM_MIRROR" >"$copy/rc"
        export TF_CLI_CONFIG_FILE="$copy/rc" CHECKPOINT_DISABLE=1
        terraform -chdir="$copy/infra" init -backend=false -input=false >"$copy/log" || { cat "$copy/log"; exit 1; }
        terraform -chdir="$copy/infra" validate
    else
        missing 'whether the configuration is valid' 'run terraform init in infra, or set TTC_TERRAFORM_MIRROR'
    fi
fi

if command -v checkov >/dev/null; then
    checkov --config-file infra/.checkov.yaml --directory infra
else
    missing 'the policy of the configuration' 'checkov is not installed'
fi

if [ ! -f docker/PipDockerfile ]; then
    missing 'the image' 'there is no docker/PipDockerfile'
elif command -v hadolint >/dev/null; then
    hadolint docker/PipDockerfile
else
    missing 'the image' 'hadolint is not installed'
fi
