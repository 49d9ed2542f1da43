"""The control process protects traffic with nothing installed but what the router itself needs."""

import subprocess
import sys

import pytest

WITHOUT = """
import importlib, importlib.machinery, sys
missing = ("duckdb", "ibis", "matplotlib", "pandas", "pyarrow", "ruptures", "scipy", "sklearn", "statsmodels")
find = importlib.machinery.PathFinder.find_spec.__func__
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None: None if name.split(".")[0] in missing else find(cls, name, path, target)
)
importlib.import_module(sys.argv[1])
print(*sorted({name.split(".")[0] for name in sys.modules} & set(missing)))
"""


@pytest.mark.parametrize("module", ["router.admin.process", "router.cli"])
def test_it_starts_without_the_libraries_of_any_extra(module: str) -> None:
    """Releases are driven, guarded, taken back and reported; what is missing is said where it matters."""
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT, module], capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stdout.strip(), found.stderr) == (0, "", "")
