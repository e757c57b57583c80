"""The two lock files agree with pyproject.toml and with each other, hold hashes, and name no package index."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PRODUCT: list[str] = PROJECT["project"]["dependencies"]
LOCAL: list[str] = PROJECT["project"]["optional-dependencies"]["local"]
DEV: list[str] = PROJECT["dependency-groups"]["dev"]
BUILD = [line for line in (ROOT / "scripts/build-requirements.in").read_text().splitlines() if not line.startswith("#")]
DEMO_LOCK, FULL_LOCK = "requirements-demo.lock", "requirements.lock"


def pins(name: str) -> dict[str, str]:
    """Locked version by package."""
    starts = [line.removesuffix("\\") for line in (ROOT / name).read_text().splitlines() if line[:1].isalpha()]
    requirements = [Requirement(start.strip()) for start in starts]
    return {canonicalize_name(found.name): str(found.specifier).removeprefix("==") for found in requirements}


@pytest.mark.parametrize(
    ("lock", "wanted"), [(DEMO_LOCK, [*PRODUCT, *LOCAL, *BUILD]), (FULL_LOCK, [*PRODUCT, *LOCAL, *DEV])]
)
def test_each_requirement_is_locked_at_a_version_it_allows(lock: str, wanted: list[str]):
    locked = pins(lock)

    unmet = [
        text
        for text in wanted
        if not (need := Requirement(text)).specifier.contains(locked.get(canonicalize_name(need.name), "0"))
    ]

    assert unmet == [], "run `make lock`"


def test_the_demo_runs_on_the_versions_that_the_tests_ran_on():
    full = pins(FULL_LOCK)

    differing = [name for name, version in pins(DEMO_LOCK).items() if full.get(name, version) != version]

    assert differing == [], "run `make lock`"


@pytest.mark.parametrize("lock", [DEMO_LOCK, FULL_LOCK])
def test_a_lock_has_a_hash_for_each_package_and_no_index(lock: str):
    text = (ROOT / lock).read_text()
    entries = [entry for entry in ("\n" + text).split("\n") if entry[:1].isalpha()]

    assert "://" not in text
    assert all(entry.endswith("\\") for entry in entries)
    assert text.count("--hash=sha256:") >= len(entries)
