"""docs/architecture.md shows the code as it stands: its table of packages, and each file and name of the walk."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from orders import carrier_rules, refund_rules
from orders.next_step import Done, NextStep
from tests.test_imports import CONTRACTS, PROJECT
from workflows import steps

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES: list[str] = PROJECT["tool"]["importlinter"]["root_packages"]
TABLE = TEXT.split("## Packages")[1].split("## ")[0]
ROWS = {row.split("`")[1]: row.split(" | ")[-1].strip("| ") for row in TABLE.splitlines() if row.startswith("| `")}
STEPS = [
    [re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split("|")]
    for row in TEXT.split("| next step |")[1].split("\n\n")[0].splitlines()[2:]
]
NAMED = re.findall(r"`([\w/]+\.py)::([\w.]+)`", TEXT)


def may_import(package: str) -> str:
    """The cell of the table, as the import contracts have it. One that forbids modules of a package leaves the rest."""
    forbidden = {name for one in CONTRACTS if package in one["source_modules"] for name in one["forbidden_modules"]}
    allowed = sorted(set(PACKAGES) - forbidden - {package})
    return ", ".join(f"`{name}`" for name in allowed) or "nothing of ours"


def names_in(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            methods = [member for member in node.body if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef)]
            yield from (f"{node.name}.{method.name}" for method in methods)


def test_the_table_says_who_may_import_whom_as_the_import_contracts_do():
    assert {package: may_import(package) for package in PACKAGES} == ROWS


def test_the_walk_goes_from_bytes_to_refund_through_every_package_on_its_way():
    walked = {path.split("/")[0] for path, _ in NAMED}

    assert {"orders", "workflows", "activities", "adapters", "bridge", "workers"} <= walked


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[f"{path}::{name}" for path, name in NAMED])
def test_every_file_and_function_that_the_document_names_is_there(path: str, name: str):
    assert (ROOT / path).is_file()
    assert name in set(names_in(ROOT / path))


def test_the_table_of_steps_has_each_next_step_once_and_its_names_in_every_layer():
    written = "".join(path.read_text() for path in (ROOT / "activities").glob("*.py"))
    every = {step.__name__ for step in get_args(get_args(NextStep)[0])} - {Done.__name__}

    assert sorted(name for (name,), *_ in STEPS) == sorted(every)
    for _, (handle,), activity, rules, lines in STEPS:
        assert [getattr(steps, handle).name] == activity
        assert [rule for rule in rules if not hasattr(carrier_rules, rule) and not hasattr(refund_rules, rule)] == []
        assert [line for line in lines if f'"{line}"' not in written] == []
