"""The pages say what is there: files, targets, commands, variables, alarms."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from ard.settings import ControlSettings, WorkerSettings
from tests.contracts.cli import PROGRAMS
from tests.terraforming import INFRA, MIRROR

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for room in ("benchmarks", "docs", "tests") for page in (ROOT / room).rglob("*.md"))]
)
DECISIONS = sorted((DOCS / "adr").glob("*.md"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
YAML_FILES = sorted(
    [*WORKFLOWS, *ROOT.glob(".*.yaml"), *(ROOT / ".lithops").glob("*.yaml"), *INFRA.glob(".*.yaml")],
)
MAKEFILE = (ROOT / "Makefile").read_text()
COMMANDS = {program: typer.main.get_command(app).commands for program, app in PROGRAMS}
DEPLOYMENT = "ttc-dev"


def name(path):
    return path.relative_to(ROOT).as_posix()


def each_page():
    return pytest.mark.parametrize("page", PAGES, ids=name)


def code(page: Path) -> Iterator[str]:
    """What a page shows as code: each line of a block (continued lines together), and each span."""
    text = page.read_text()
    for block in re.findall(r"^```.*?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        yield from block.replace("\\\n", " ").splitlines()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", prose)


def invocations(page: Path) -> Iterator[tuple[str, str, list[str]]]:
    """The program, command and options of every call of ours that a page shows."""
    for line in code(page):
        for part in re.split(r"\||;|&&|\$\(", re.sub(r"\s#.*", "", line)):
            called = re.match(
                r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?(producer|tracker|sandbox) ([a-z][a-z-]*)(.*)", part
            )
            if called:
                yield called[1], called[2], re.findall(r"--[a-z][a-z-]*", called[3])


def targets(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.-])make ([a-z][a-z-]*)", text))


@each_page()
def test_links_lead_somewhere(page):
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    here = [link for link in links if link and "://" not in link and not link.startswith("mailto:")]

    assert not [link for link in here if not (page.parent / link).exists()]


@each_page()
def test_files_that_are_named_exist(page):
    named = {span for span in code(page) if re.fullmatch(r"[\w.-]+/[\w./-]+\.(py|tf|json|yaml|yml|sh|md|txt)", span)}
    ours = {span for span in named if (ROOT / span.partition("/")[0]).is_dir()}

    assert not {span for span in ours if not (ROOT / span).is_file()}


@each_page()
def test_targets_that_are_named_are_in_the_makefile(page):
    named = {target for line in code(page) for target in targets(line)}

    assert named <= set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE))


@each_page()
def test_commands_that_are_shown_exist_with_their_options(page):
    wrong = []
    for program, command, options in invocations(page):
        found = COMMANDS[program].get(command)
        known = {option for parameter in found.params for option in parameter.opts} if found else set()
        wrong += [(program, command, option) for option in options if option not in known | {"--help"}]
        wrong += [] if found else [(program, command)]

    assert not wrong


def test_commands_are_found_where_they_are_shown(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Call `tracker one --a`.\n\n```\n"
        "$ A=1 .venv/bin/producer two --b \\\n  --c | tracker three # sandbox four\n```\n"
    )

    assert list(invocations(page)) == [
        ("producer", "two", ["--b", "--c"]),
        ("tracker", "three", []),
        ("tracker", "one", ["--a"]),
    ]


@each_page()
def test_variables_that_are_named_are_settings(page):
    settings = {f"TTC_{field.upper()}" for kind in (ControlSettings, WorkerSettings) for field in kind.model_fields}

    assert set(re.findall(r"\bTTC_[A-Z0-9_]+", page.read_text())) <= settings | {MIRROR}


def test_the_runbook_has_every_alarm_and_no_other():
    rows = [line for line in (DOCS / "runbook.md").read_text().splitlines() if line.startswith(f"| `{DEPLOYMENT}-")]

    assert {alarm for row in rows for alarm in re.findall(r"`([^`]+)`", row)} == set(alarms())


def alarms() -> Iterator[str]:
    """The names of all alarms of a deployment, as its configuration spells them."""
    functions = json.loads((INFRA / "functions.json").read_text())
    all_functions = functions["functions"]
    named = {
        "var.queues": list(functions["queues"]),
        "var.functions": [function["name"] for function in all_functions],
        "local.scheduled": [function["name"] for function in all_functions if "queue" not in function],
        "aws_cloudwatch_log_metric_filter.refused": [
            function["name"] for function in all_functions if function["handler"].startswith("consumers.")
        ],
    }
    text = (INFRA / "modules" / "region" / "alarms.tf").read_text()
    head = r'"aws_cloudwatch_metric_alarm" "\w+" \{\s+for_each\s+= (\S+)\s+alarm_name\s+= '
    found = re.findall(head + r'"\$\{var.name\}-\$\{each.key\}-(\S+)"', text)
    assert len(found) == text.count('resource "aws_cloudwatch_metric_alarm"')
    for source, suffix in found:
        yield from (f"{DEPLOYMENT}-{member}-{suffix}" for member in named[source])


@pytest.mark.parametrize("path", YAML_FILES, ids=name)
def test_yaml_can_be_read(path):
    assert yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_workflow_runs_targets_of_the_makefile_with_pinned_actions_and_few_rights(path):
    workflow = yaml.safe_load(path.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    used = [step["uses"] for step in steps if "uses" in step]

    assert {"lint", "test"} <= {target for step in steps for target in targets(step.get("run", ""))}
    assert not [action for action in used if not re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", action)]
    assert workflow["permissions"] == {"contents": "read"}


def test_what_runs_before_a_commit_is_what_lint_runs():
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in configuration["repos"] for hook in repository["hooks"]]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.MULTILINE)
    assert recipe

    linted = set(re.findall(r"(?:\$\(BIN\)/)?(ruff check|ruff format|mypy|infra/lint.sh)", recipe[1]))
    called = {re.sub(r"^\.venv/bin/| --.*", "", hook["entry"]) for hook in hooks}
    assert {repository["repo"] for repository in configuration["repos"]} == {"local"}
    assert {re.sub(" --.*", "", entry) for entry in called} == linted


def test_decisions_are_numbered_once_each_and_dated():
    heads = [path.read_text().splitlines()[:3] for path in DECISIONS]
    numbers = [int(path.name.partition("-")[0]) for path in DECISIONS]

    assert numbers == list(range(1, len(DECISIONS) + 1))
    assert [int(re.match(r"# (\d+)\. ", title)[1]) for title, *_ in heads] == numbers
    assert not [line for *_, line in heads if not re.fullmatch(r"\d{4}-\d\d-\d\d, (accepted|replaced by \d+)", line)]
