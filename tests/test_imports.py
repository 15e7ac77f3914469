"""What a worker imports before its first task: nothing that it does not need, or a cold start takes longer."""

import subprocess
import sys

import pytest

HEAVY = {"dask", "lithops", "matplotlib", "moto", "pandas", "pyarrow", "rich", "scipy", "typer", "xarray"}


def imported_by(*modules):
    """The packages in a fresh interpreter after an import."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


@pytest.mark.parametrize("product", ["dem", "s1", "s2"])
def test_a_worker_imports_nothing_heavy(product):
    packages = imported_by(f"consumers.{product}", f"loaders.{product}")

    assert not packages & HEAVY
    assert {"async_tiff", "isal", "obstore", "rasterio"} <= packages
