"""Who may import whom is a contract (`[tool.importlinter]` in pyproject.toml), and our generic names are ours alone."""

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.limits import WAIT_SECONDS

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
NEVER_DEPLOYED = ("devkit", "simulators")
CONTRACTS: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]


def lint_imports(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, timeout=WAIT_SECONDS)


def test_every_package_imports_only_what_the_contracts_allow():
    checked = lint_imports()

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in checked.stdout


def test_every_package_of_the_wheel_is_under_a_contract():
    under_contract = {package for contract in CONTRACTS for package in contract["source_modules"]}

    assert under_contract == {*PACKAGES, "simulators"}
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == {*PACKAGES, *NEVER_DEPLOYED}


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("orders", "import runtime.clock"),
        ("workflows", "from activities import ports"),
        ("activities", "from workflows import top_up_order"),
        ("adapters", "from activities.ports import Carrier"),
        ("bridge", "def late():\n    import workers.composition"),
        ("console", "import simulators.book"),
        ("console", "from devkit.stack import local"),
        ("adapters", "def late():\n    import devkit.audit.rules"),
        ("simulators", "import devkit.audit.rules"),
        ("simulators", "from orders.identities import workflow_id"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, importer: str, statement: str):
    """The contracts would fail if one of these were written: shown on a copy."""
    for package in (*PACKAGES, *NEVER_DEPLOYED):
        for module in (ROOT / package).rglob("*.py"):
            copy = tmp_path / module.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(module.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (tmp_path / importer / "new_module.py").write_text(statement + "\n")

    checked = lint_imports(folder=tmp_path)

    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert f"{importer}.new_module" in checked.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PACKAGES, *NEVER_DEPLOYED, "tests", "bench"])
def test_no_other_installed_distribution_owns_one_of_our_top_level_names(name: str):
    owners = set(packages_distributions().get(name, ())) - {PROJECT["project"]["name"]}

    assert not owners, f"{name} also comes with {owners}: one of the two would hide the other"
