"""`make sbom` says of each package of the production image its version, hashes and licence."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.limits import WAIT_SECONDS

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "deploy" / "requirements-run.lock"


def run(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "sbom.py"), *arguments, str(LOCK)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_SECONDS).stdout


def test_every_locked_package_is_in_it_with_its_hashes_and_what_is_installed_with_its_licence():
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", LOCK.read_text(), re.MULTILINE))
    components = {one["name"]: one for one in json.loads(run())["components"]}

    assert len(components) == len(pinned) > 20
    assert {name: one["version"] for name, one in components.items()} == {
        re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()
    }
    hashes = [p["value"] for one in components.values() for p in one["properties"] if p["name"] == "topup:sha256"]
    assert sorted(hashes) == sorted(re.findall(r"sha256:([0-9a-f]{64})", LOCK.read_text()))
    assert "licenses" in components["httpx"]
    assert re.search(r"^temporalio +\S+ +MIT", run("--licences"), re.MULTILINE)
