"""Gets missing parts into the project's own git-ignored folder `.parts/`; nothing is installed on the machine.

Debian packages are downloaded by apt (which checks their signatures) and unpacked, Kafka's jars are copied by Maven.
Each part is unpacked beside its place and renamed into it, so that it is there whole or not at all; a lock keeps two
runs from doing it at once.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from devkit.servers.process import PartMissingError

PARTS_FOLDER = Path(__file__).parents[2] / ".parts"
STEP_TIMEOUT_SECONDS = 300
ERROR_LINES = 5
ERROR_STARTS = ("[ERROR]", "E:", "dpkg:")
APT_OPTIONS = ("-q", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=30", "-o", "APT::Sandbox::User=root")
# Not unpacked: what only the packages' installation scripts need, the compiler for queries that tests switch off, and
# the C library, which must be the machine's own.
UNNEEDED_PACKAGES = ("libc6", "libc-bin", "libllvm", "libz3", "libperl", "perl", "postgresql-common", "ssl-cert")

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>topup</groupId><artifactId>parts</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""
DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


def say(text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"parts: {text}\n")
    sys.stdout.flush()


def unpack_debian(name: str, package: str) -> Path:
    """Unpack the Debian package and those of its dependencies that this machine lacks into `.parts/<name>`.

    Raises PartMissingError where apt or dpkg are not there or don't get it.
    """
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise PartMissingError(f"{name}: {tool} is not on PATH; install {package} by your system's own means")
    with _place(name) as folder, tempfile.TemporaryDirectory(prefix="topup-apt-") as work:
        if folder is None:
            return PARTS_FOLDER / name
        options = _apt_options(package, Path(work))
        wanted = _packages_to_unpack(package, options)
        say(f"{name}: getting {len(wanted)} Debian packages: {', '.join(wanted)}")
        downloads = Path(work, "downloads")
        downloads.mkdir()
        _run(name, ["apt-get", *APT_OPTIONS, *options, "download", *wanted], cwd=downloads)
        for archive in sorted(downloads.glob("*.deb")):
            _run(name, ["dpkg", "-x", archive.name, str(folder)], cwd=downloads)
    return PARTS_FOLDER / name


def copy_jars(name: str, artifacts: Sequence[tuple[str, str, str]], env: Mapping[str, str]) -> Path:
    """Copy the jars of these Maven artifacts (group, artifact, version) and what they need into `.parts/<name>`."""
    if not shutil.which("mvn"):
        raise PartMissingError(f"{name}: Maven is missing; install it (Debian: maven) so that mvn is on PATH")
    with _place(name) as folder, tempfile.TemporaryDirectory(prefix="topup-mvn-") as work:
        if folder is None:
            return PARTS_FOLDER / name
        say(f"{name}: getting the jars of {', '.join(':'.join(artifact) for artifact in artifacts)} with Maven")
        dependencies = "".join(DEPENDENCY.format(*artifact) for artifact in artifacts)
        Path(work, "pom.xml").write_text(POM.format(dependencies=dependencies))
        copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=jars"]
        try:
            _run(name, copy, cwd=Path(work), env=env)
        except PartMissingError:  # the user may have no home that Maven can write to; and networks deserve two tries
            _run(name, [*copy, f"-Dmaven.repo.local={work}/repository"], cwd=Path(work), env=env)
        shutil.copytree(Path(work, "jars"), folder, dirs_exist_ok=True)
    return PARTS_FOLDER / name


def library_path(root: Path) -> str:
    """LD_LIBRARY_PATH for programs of an unpacked Debian root."""
    folders = [folder for top in ("usr/lib", "lib") for folder in sorted(root.glob(f"{top}/*-linux-*"))]
    return os.pathsep.join(str(folder) for folder in folders)


@contextlib.contextmanager
def _place(name: str) -> Generator[Path | None]:
    """A temporary folder that becomes `.parts/<name>` if all goes well; None if another run was first."""
    PARTS_FOLDER.mkdir(exist_ok=True)
    with (PARTS_FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (PARTS_FOLDER / name).exists():
            yield None
            return
        for left_over in PARTS_FOLDER.glob(f".{name}.*"):
            shutil.rmtree(left_over)
        folder = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=PARTS_FOLDER))
        folder.chmod(0o755)  # PostgreSQL runs as another user than root
        try:
            yield folder
            folder.rename(PARTS_FOLDER / name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        say(f"{name}: ready")


def _apt_options(package: str, work: Path) -> list[str]:
    """Options with which apt knows the package: the machine's own lists, or fresh private ones where those don't do."""
    probe = ["apt-get", *APT_OPTIONS, "install", "--print-uris", "--no-install-recommends", "-y", package]
    if subprocess.run(probe, check=False, capture_output=True, timeout=STEP_TIMEOUT_SECONDS).returncode == 0:
        return []
    say(f"{package}: reading the Debian package lists")
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    options = ["-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}/cache", "-o", "Debug::NoLocking=1"]
    _run(package, ["apt-get", *APT_OPTIONS, *options, "update"], cwd=work)
    return options


def _packages_to_unpack(package: str, options: Sequence[str]) -> list[str]:
    """The packages as `name=version` which an installation would bring, in apt's own judgement of this machine."""
    install = ["install", "--reinstall", "--print-uris", "--no-install-recommends", "-y", package]
    listing = _run(package, ["apt-get", *APT_OPTIONS, *options, *install], cwd=Path.cwd())
    wanted: list[str] = []
    for line in listing.splitlines():
        if line.startswith("'"):
            name, version, _ = line.split()[1].split("_")
            if not name.startswith(UNNEEDED_PACKAGES):
                wanted.append(f"{name}={urllib.parse.unquote(version)}")
    if not wanted:
        raise PartMissingError(f"apt-get names no package to unpack for {package}; install {package} yourself")
    return wanted


def _run(name: str, command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise PartMissingError(f"{name}: {command[0]} took longer than {STEP_TIMEOUT_SECONDS} s; try again") from None
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        telling = [line for line in lines if line.startswith(ERROR_STARTS)][:ERROR_LINES] or lines[-ERROR_LINES:]
        what = f"{name}: {command[0]} could not get it (exit code {done.returncode}):"
        raise PartMissingError("\n".join([what, *telling]))
    return done.stdout
