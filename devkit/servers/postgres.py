"""PostgreSQL: the installed server or an unpacked one, with data in a temporary folder.

Durable against a kill of its processes, not against a loss of power (`fsync=off`): that is all a test can bring about.
"""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - the package has none

from devkit.servers import fetch
from devkit.servers.process import PartFailedError, PartMissingError, Process, free_port, run_apart, unique

NAME = "postgresql"
USER = "topup"
QUESTION_TIMEOUT_SECONDS = 5.0
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # containers often have 64 MB of /dev/shm
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",  # an acknowledged commit outlives SIGKILL
    "jit": "off",
    "autovacuum_naptime": "10min",
    "timezone": "GMT",  # built in: works where no time zone files are installed
    "log_timezone": "GMT",
}


@dataclass(frozen=True)
class Programs:
    """Folder of `initdb` and `postgres`, and the libraries they need beside the machine's own."""

    folder: Path
    library_path: str | None = None

    def __str__(self) -> str:
        return str(self.folder)

    def environment(self) -> Mapping[str, str]:
        """The environment to run them in: without any PG* setting of the caller."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**env, "LC_ALL": "C", **({"LD_LIBRARY_PATH": self.library_path} if self.library_path else {})}


def find() -> Programs:
    """The newest server that works, installed ones first. Raises PartMissingError."""
    for programs in (*_installed(), *_unpacked()):
        if _works(programs):
            return programs
    raise PartMissingError(
        "PostgreSQL's server is not installed; unpack it with `python -m devkit.servers fetch` "
        "or set TOPUP_TEST_POSTGRES_URL"
    )


def get() -> None:
    """Unpack the Debian package."""
    fetch.unpack_debian(NAME, "postgresql")


EMPTY: Final = """DO $$ BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
END $$"""


class Postgres(Process):
    """A PostgreSQL server, or the one at `url` that runs already."""

    def __init__(self, url: str | None = None) -> None:
        super().__init__("postgres", ours=url is None)
        self._created: list[str] = []
        self._spare: list[str] = []
        if url is not None:
            self.url = url
            return
        self.port = free_port()
        self.url = f"postgresql://{USER}:{USER}@127.0.0.1:{self.port}/postgres"
        self._programs = find()
        self._data = self.folder / "data"
        if os.geteuid() == 0:
            self._give_away()

    def create_database(self) -> str:
        """A new empty database; its URL as settings take it, `postgresql://user:password@host:port/name`."""
        name = unique("test")
        self.execute(f'CREATE DATABASE "{name}"')
        self._created.append(name)
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    @contextlib.contextmanager
    def database(self) -> Generator[str]:
        """The URL of an empty database, lent: emptied at the end, and lent again. Making one copies 300 files."""
        url = self._spare.pop() if self._spare else self.create_database()
        yield url
        self.execute(EMPTY, url=url)
        self._spare.append(url)

    def execute(self, sql: str, *, url: str | None = None) -> list[Any]:
        """Run one statement on a connection of its own and return the rows."""
        return run_apart(_fetch(url or self.url, sql))

    def close(self) -> None:
        if not self.ours:
            for name in self._created:
                self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        super().close()

    def command(self) -> Sequence[str]:
        return [str(self._programs.folder / "postgres"), "-D", str(self._data), "-p", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return self._programs.environment()

    def prepare(self) -> None:
        if self._data.exists():
            return
        initdb = [str(self._programs.folder / "initdb"), "-D", str(self._data), "-U", USER]
        done = subprocess.run(
            [*initdb, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
            check=False,
            capture_output=True,
            text=True,
            env=dict(self.environment()),
            cwd=self.folder,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.gid is None else [],
        )
        if done.returncode != 0:
            raise PartFailedError(f"postgres: initdb ended with exit code {done.returncode}:\n{done.stderr}")
        lines = (f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.writelines(lines)

    def ask(self) -> None:
        self.execute("SELECT 1")

    def _give_away(self) -> None:
        """PostgreSQL refuses to run as root: run it as a user that owns its data and can read its programs."""
        user = _unprivileged_user()
        self.uid, self.gid = user.pw_uid, user.pw_gid
        os.chown(self.folder, self.uid, self.gid)
        if not _open_to_all(self.folder.parent):
            raise PartFailedError(f"postgres: only root can read {self.folder.parent}; set TMPDIR to an open folder")
        if self._programs.library_path and not _open_to_all(self._programs.folder):
            self._programs = _copied(self._programs, self.folder)


def _installed() -> Iterator[Programs]:
    by_version = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: _number(folder.parent.name), reverse=True
    )
    yield from (Programs(folder) for folder in by_version)
    for folder in os.get_exec_path():
        yield Programs(Path(folder, "postgres").resolve().parent)


def _unpacked() -> Iterator[Programs]:
    root = fetch.PARTS_FOLDER / NAME
    for folder in root.glob("usr/lib/postgresql/*/bin"):
        yield Programs(folder, fetch.library_path(root))


def _works(programs: Programs) -> bool:
    """Whether both programs are there and run: a name on PATH may be a client's, or lack its libraries."""
    for name in ("initdb", "postgres"):
        with contextlib.suppress(OSError):
            command = [str(programs.folder / name), "--version"]
            env = dict(programs.environment())
            done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
            if done.returncode == 0 and re.match(rf"{name} \(PostgreSQL\) \d+", done.stdout):
                continue
        return False
    return True


def _copied(programs: Programs, folder: Path) -> Programs:
    """The unpacked server, copied to where its user can read it."""
    root = fetch.PARTS_FOLDER / NAME
    copy = folder / "programs"
    shutil.copytree(root, copy, symlinks=True)
    return Programs(copy / programs.folder.relative_to(root), fetch.library_path(copy))


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PartMissingError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def _open_to_all(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


async def _fetch(url: str, sql: str) -> list[Any]:
    connect = cast("Any", asyncpg).connect  # its types are partly unknown
    connection = await connect(url, timeout=QUESTION_TIMEOUT_SECONDS)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()
