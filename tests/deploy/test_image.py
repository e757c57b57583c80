import fnmatch
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.deploy.files import ROOT
from tests.limits import WAIT_SECONDS

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
    assert words("FROM") == [
        ["${PYTHON_IMAGE}", "AS", "build"],
        ["${PYTHON_IMAGE}", "AS", "product"],
        ["product", "AS", "simulators"],
        ["product"],
    ]


def test_it_runs_topup_as_a_user_with_a_number_that_is_not_root():
    assert words("USER") == [["10001:10001"]]
    product, _ = words("ENTRYPOINT")
    assert product == ['["topup"]']


def test_every_dependency_is_installed_by_its_hash():
    installs = re.findall(r"install (?!--directory)[^&]*", DOCKERFILE)
    assert len(installs) == 3
    assert [("--require-hashes" in line or "--no-deps" in line) for line in installs] == [True] * 3


def test_only_the_build_s_result_gets_into_the_image():
    product, simulators, last = [stage.partition("\n")[2] for stage in DOCKERFILE.split("\nFROM ")[2:]]
    assert re.findall(r"^COPY .*", product, re.MULTILINE) == ["COPY --from=build /opt/topup /opt/topup"]
    assert re.findall(r"^COPY .*", simulators, re.MULTILINE) == ["COPY simulators /opt/simulators/simulators"]
    assert last.strip() == "", "without a target, what is built is the product"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=WAIT_SECONDS)
    (packed,) = folder.glob("topup-*.whl")
    zipfile.ZipFile(packed).extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_the_product_and_nothing_that_is_never_deployed(wheel: Path):
    packages = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert packages == set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert not packages & {"devkit", "simulators", "tests", "bench"}


@pytest.mark.parametrize("command", ["dev", "demo"])
def test_where_there_is_no_checkout_the_local_commands_say_what_to_do(wheel: Path, command: str):
    code = "import sys; sys.path += sys.argv[1:3]; del sys.argv[1:3]; from console import main as m; m.main()"
    site = sysconfig.get_path("purelib")  # its .pth files, which lead to this checkout, are not read with -S
    words = [sys.executable, "-I", "-S", "-c", code, str(wheel), site, command]
    done = subprocess.run(words, cwd=wheel, check=False, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert done.returncode == 2
    assert f"run `make {command}` in its folder" in done.stderr
    assert done.stdout == ""


def test_the_build_sees_all_packages_of_the_wheel_and_the_simulators_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    locks = {"deploy/requirements-build.lock", "deploy/requirements-run.lock"}
    assert lines[1] == "*"
    assert allowed == packages | locks | {"simulators", "pyproject.toml", "LICENSE", "README.md"}


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
    ignored = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False, timeout=WAIT_SECONDS)
    assert ignored.returncode == 0
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert not any(fnmatch.fnmatch(path, pattern) or path.startswith(pattern + "/") for pattern in kept)


def test_every_module_the_image_starts_is_importable_there():
    for module in ("console.main", "simulators"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"], cwd=ROOT, check=False, capture_output=True, timeout=WAIT_SECONDS
        )
        assert done.returncode == 0, done.stderr.decode()
