"""Temporal as a benchmark needs it: the development server durable to power loss, or the real server on PostgreSQL.

The real server is not part of this project's environment. Where Go is there, two commands build it (3 min):
`go install go.temporal.io/server/cmd/server@v1.32.0 go.temporal.io/server/cmd/tools/sql@v1.32.0`, with GOBIN set to
the folder that `--temporal-programs` then names.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - the package has none
import temporalio.api.workflowservice.v1 as workflowservice
from temporalio.client import Client

from bench.checkouts import ROOT
from bench.durable import DurablePostgres
from devkit.servers.process import PartFailedError, PartMissingError, Process, free_port, run_apart
from devkit.servers.temporal import Temporal

PLUGIN: Final = "postgres12_pgx"
SHARDS: Final = 4
SCHEMA_SECONDS: Final = 120
VISIBILITY: Final = "temporal_visibility"
DATABASES: Final = {"temporal": "postgresql/v12/temporal", VISIBILITY: "postgresql/v12/visibility"}

_CONFIG: Final = """
log: {{level: warn, stdout: true}}
persistence:
  defaultStore: default
  visibilityStore: visibility
  numHistoryShards: {shards}
  datastores:
    default:
      sql: {{pluginName: {plugin}, databaseName: temporal, connectAddr: "{database}", connectProtocol: tcp,
             user: {user}, password: {user}, maxConns: 20, maxIdleConns: 20, maxConnLifetime: 1h}}
    visibility:
      sql: {{pluginName: {plugin}, databaseName: temporal_visibility, connectAddr: "{database}", connectProtocol: tcp,
             user: {user}, password: {user}, maxConns: 10, maxIdleConns: 10, maxConnLifetime: 1h}}
global:
  membership: {{maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}}
services:
  frontend: {{rpc: {{grpcPort: {frontend}, membershipPort: {frontend_ring}, bindOnIP: 127.0.0.1}}}}
  matching: {{rpc: {{grpcPort: {matching}, membershipPort: {matching_ring}, bindOnIP: 127.0.0.1}}}}
  history: {{rpc: {{grpcPort: {history}, membershipPort: {history_ring}, bindOnIP: 127.0.0.1}}}}
  worker: {{rpc: {{grpcPort: {worker}, membershipPort: {worker_ring}, bindOnIP: 127.0.0.1}}}}
clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation:
    active: {{enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "127.0.0.1:{frontend}"}}
dcRedirectionPolicy: {{policy: noop}}
archival: {{history: {{state: disabled}}, visibility: {{state: disabled}}}}
publicClient: {{hostPort: "127.0.0.1:{frontend}"}}
"""


class DurableTemporal(Temporal):
    """The development server on an SQLite file, durable to power loss (the tests' own is so to kill only)."""

    def command(self) -> Sequence[str]:
        """The command line."""
        return [word.replace("synchronous=NORMAL", "synchronous=FULL") for word in super().command()]


class TemporalOnPostgres(Process):
    """The real server, all services in one process, on a PostgreSQL of its own.

    Args:
        programs: folder with `server` and `sql` as `go install` names them.
        postgres: its database server, running.
    """

    def __init__(self, programs: Path, postgres: DurablePostgres) -> None:
        super().__init__("temporal")
        for name in ("server", "sql"):
            if not os.access(programs / name, os.X_OK):
                raise PartMissingError(f"{programs} holds no program `{name}`: see bench/README.md for building it")
        self._programs = programs.absolute()
        self._postgres = postgres
        ports = ("frontend", "matching", "history", "worker")
        self.go_threads: int | None = None
        """`GOMAXPROCS`; None: as many as the cores that it may run on."""
        self._ports = {name: free_port() for port in ports for name in (port, f"{port}_ring")}
        self.address = f"127.0.0.1:{self._ports['frontend']}"

    def command(self) -> Sequence[str]:
        """The command line."""
        return [str(self._programs / "server"), "--root", str(self.folder), "--env", "bench", "start"]

    def environment(self) -> Mapping[str, str]:
        """Nothing of the caller's Temporal or PostgreSQL settings."""
        foreign = ("TEMPORAL_", "POSTGRES_", "SQL_", "PG")
        own = {"GOMAXPROCS": str(self.go_threads)} if self.go_threads else {}
        return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | own

    def prepare(self) -> None:
        """Databases, schemas, configuration; the first time."""
        where = urlsplit(self._postgres.url)
        config = self.folder / "config"
        if config.exists():
            return
        config.mkdir()
        text = _CONFIG.format(
            shards=SHARDS, plugin=PLUGIN, database=f"{where.hostname}:{where.port}", user=where.username, **self._ports
        )
        (config / "bench.yaml").write_text(text)
        for database, schema in DATABASES.items():
            self._postgres.execute(f"CREATE DATABASE {database}")
            self._sql(database, "setup-schema", "--version", "0.0")
            self._sql(database, "update-schema", "--schema-name", schema)

    def slim_visibility(self, *, slim: bool) -> None:
        """Have visibility's indexes as deploy/temporal advises, or as Temporal makes them."""
        script = ROOT / "deploy" / "temporal" / ("visibility-slim.sql" if slim else "visibility-restore.sql")
        run_apart(self._run_script(script.read_text()))

    async def _run_script(self, script: str) -> None:
        where = urlsplit(self._postgres.url)
        driver = cast("Any", asyncpg)
        connection = await driver.connect(
            host=where.hostname, port=where.port, user=where.username, database=VISIBILITY
        )
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    def ask(self) -> None:
        """A question that a working frontend answers."""
        run_apart(self._ask())

    async def _ask(self) -> None:
        client = await Client.connect(self.address)
        await client.workflow_service.list_namespaces(workflowservice.ListNamespacesRequest(page_size=1))

    def _sql(self, database: str, *arguments: str) -> None:
        where = urlsplit(self._postgres.url)
        user, port = str(where.username), str(where.port)
        options = ["--plugin", PLUGIN, "--endpoint", "127.0.0.1", "--port", port, "--user", user, "--password", user]
        done = subprocess.run(  # noqa: S603 - the programs that the caller named
            [str(self._programs / "sql"), *options, "--database", database, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=dict(self.environment()),
            timeout=SCHEMA_SECONDS,
        )
        if done.returncode:
            raise PartFailedError(
                f"temporal: its schema could not be made:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
