"""Whose code is measured: this checkout's, and that of another commit beside it, in one run."""

import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit.servers.process import PartMissingError

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = "requirements.lock"
GIT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Checkout:
    """One state of the source. Each has an order book, a topic and a Temporal namespace of its own."""

    name: str
    root: Path

    @property
    def lock(self) -> bytes:
        """Its packages."""
        return (self.root / LOCK).read_bytes()


def this_checkout() -> Checkout:
    """The source that measures, as it lies there."""
    return Checkout("this checkout", ROOT)


def unpacked(commit: str, folder: Path) -> Checkout:
    """The source of a commit, in a folder of its own.

    Raises:
        PartMissingError: the repository has no such commit.
    """
    name = _git("rev-parse", "--short", f"{commit}^{{commit}}").decode().strip()
    root = folder / name
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", name))) as archive:
        archive.extractall(root, filter="data")
    return Checkout(name, root)


def described() -> str:
    """The commit of this checkout, and whether anything was changed since."""
    commit = _git("rev-parse", "--short", "HEAD").decode().strip()
    return f"{commit}, with changes" if _git("status", "--porcelain", "--untracked-files=no") else commit


def _git(*arguments: str) -> bytes:
    command = [shutil.which("git") or "git", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, cwd=ROOT, timeout=GIT_SECONDS)  # noqa: S603 - the caller's git
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise PartMissingError(f"git {arguments[0]} says: {said}. --against takes a commit of this repository.")
    return done.stdout
