"""Who may import whom, and what stays in one room."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("ard", "ard.adapters", "loaders", "consumers", "producer", "tracker", "sandbox")
MAY_IMPORT = {
    "ard": set(),
    "ard.adapters": {"ard"},
    "loaders": {"ard"},
    "consumers": {"ard", "ard.adapters", "loaders"},
    "producer": {"ard", "ard.adapters"},
    "tracker": {"ard", "ard.adapters"},
    "sandbox": {"ard", "ard.adapters"},
}
# The one engine that runs the workers' code itself instead of sending messages to them.
EXCEPTIONS = {("producer/lithops_engine.py", "consumers")}
FORBIDDEN = {
    "ard": {"boto3", "botocore", "rasterio", "obstore", "os", "pathlib", "time", "random", "requests"},
    "loaders": {"boto3", "botocore", "rasterio", "obstore", "os", "time", "random", "requests"},
}
BROAD_EXCEPT = {"consumers/process.py", "ard/adapters/records.py"}


def modules():
    return sorted(path for room in ROOMS if "." not in room for path in (ROOT / room).rglob("*.py") if path.is_file())


def room_of(dotted):
    return max((room for room in ROOMS if dotted == room or dotted.startswith(room + ".")), key=len, default=None)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_imports_only_what_its_room_may(path):
    here = room_of(name(path).removesuffix(".py").replace("/", "."))
    wanted = {room_of(dotted) for dotted in imports(path)} - {None, here}
    allowed = MAY_IMPORT[here] | {room for file, room in EXCEPTIONS if file == name(path)}
    assert wanted <= allowed

    libraries = {dotted.partition(".")[0] for dotted in imports(path)}
    assert not libraries & FORBIDDEN.get(here, set())


@pytest.mark.parametrize("path", modules(), ids=name)
def test_only_the_settings_read_the_environment(path):
    reads = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}
    ]

    assert not reads or name(path) in {"ard/settings.py"} or name(path).startswith("sandbox/")


@pytest.mark.parametrize("path", modules(), ids=name)
def test_broad_excepts_stand_at_the_two_boundaries_only(path):
    broad = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or {"Exception", "BaseException"} & {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)}
        )
    ]

    assert not broad or name(path) in BROAD_EXCEPT


@pytest.mark.parametrize("path", modules(), ids=name)
def test_modules_and_functions_fit_a_reader(path):
    text = path.read_text()
    long_functions = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno - len((ast.get_docstring(node) or "").splitlines()) >= 60
    ]

    assert text.count("\n") <= 300
    assert not long_functions


@pytest.mark.parametrize("path", modules(), ids=name)
def test_object_keys_are_spelled_in_one_place(path):
    if name(path) == "ard/keys.py":
        return
    text = path.read_text()

    assert not any(part in text for part in ("/ard/{", "/raw/{", "jobs/{", "receipts/{"))
