import fnmatch
import re
import subprocess
import sys
import tomllib

import pytest

from tests.deploy.files import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>[^\\]+?))? \\$", re.MULTILINE)


def words(instruction: str) -> list[list[str]]:
    return [line.split()[1:] for line in INSTRUCTIONS if line.split()[:1] == [instruction]]


def locked(file: str) -> dict[str, set[str]]:
    """Versions by name."""
    found: dict[str, set[str]] = {}
    for match in LOCKED.finditer((ROOT / file).read_text()):
        found.setdefault(match["name"].lower(), set()).add(match["version"])
    return found


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~ ;]", requirement)[0].lower() for requirement in requirements}


def test_the_base_image_is_pinned_and_the_same_in_both_stages():
    ((argument,),) = words("ARG")
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.13\.\d+-slim-\w+", argument)
    assert [line[0] for line in words("FROM")] == ["${PYTHON_IMAGE}"] * 2


def test_it_runs_topup_as_a_user_with_a_number_that_is_not_root():
    assert words("USER") == [["10001:10001"]]
    assert words("ENTRYPOINT") == [['["topup"]']]


def test_every_dependency_is_installed_by_its_hash():
    installs = re.findall(r"install (?!--directory)[^&]*", DOCKERFILE)
    assert len(installs) == 3
    assert [("--require-hashes" in line or "--no-deps" in line) for line in installs] == [True] * 3


def test_only_the_build_s_result_gets_into_the_image():
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^COPY .*", last_stage, re.MULTILINE) == ["COPY --from=build /opt/topup /opt/topup"]


def test_the_build_sees_all_packages_of_the_wheel_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    locks = {"deploy/requirements-build.lock", "deploy/requirements-run.lock"}
    assert lines[1] == "*"
    assert allowed == packages | locks | {"pyproject.toml", "README.md"}


def test_the_image_s_lock_is_the_project_s_lock_without_tools():
    everything, image = locked("requirements.lock"), locked("deploy/requirements-run.lock")
    assert names(PROJECT["project"]["dependencies"]) <= set(image)
    assert all(versions <= everything[name] for name, versions in image.items())
    tools = names(PROJECT["project"]["optional-dependencies"]["local"])
    tools |= names(PROJECT["dependency-groups"]["dev"])
    assert not tools & set(image)


def test_the_build_s_lock_has_what_builds_the_wheel():
    assert names(PROJECT["build-system"]["requires"]) <= set(locked("deploy/requirements-build.lock"))


@pytest.mark.parametrize("file", ["deploy/requirements-run.lock", "deploy/requirements-build.lock"])
def test_every_locked_package_has_hashes_and_no_address(file):
    text = (ROOT / file).read_text()
    entries = re.split(r"\n(?=[A-Za-z])", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


@pytest.mark.parametrize(
    "path", ["deploy/secrets/topup_pii_key", "deploy/secrets/simulators/settings.json", "deploy/.env"]
)
def test_secrets_are_neither_committed_nor_sent_to_the_build(path):
    ignored = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False, timeout=30)
    assert ignored.returncode == 0
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert not any(fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/") for pattern in kept)


def test_every_module_the_image_starts_is_importable_there():
    for module in ("console.main", "simulators"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"], cwd=ROOT, check=False, capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
