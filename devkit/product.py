"""The product's processes as a stack, a test or a benchmark starts them: with settings, never with code."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from devkit.servers import ready
from devkit.servers.process import Program
from devkit.simulation.processes import Simulators


def product_settings(
    simulators: Simulators,
    *,
    folder: Path,
    temporal_address: str,
    database_url: str,
    pii_key: str,
    brokers: Sequence[Mapping[str, str]],
    **changes: str,
) -> dict[str, str]:
    """The settings (contracts §9) that all of the product's processes share in one environment.

    Args:
        simulators: the outside world, its keys made.
        folder: for an empty configuration file of Temporal's, so that a profile of the caller's own is never read.
        temporal_address: host:port.
        database_url: of the order book.
        pii_key: 32 bytes in base64.
        brokers: the MQTT platforms, as `TOPUP_MQTT_BROKERS` has them.
        changes: settings besides these, or others.
    """
    empty = folder / "temporal.toml"
    empty.touch()
    return {
        "TEMPORAL_ADDRESS": temporal_address,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_CONFIG_FILE": str(empty),
        "TOPUP_DATABASE_URL": database_url,
        "TOPUP_PII_KEY": pii_key,
        "TOPUP_MQTT_BROKERS": json.dumps([dict(broker) for broker in brokers]),
        **simulators.settings,
        **changes,
    }


def product_process(
    name: str, env: Mapping[str, str], port: int, *, module: str = "console", folder: Path | None = None
) -> Program:
    """One of the product's processes, ready once its `/readyz` on this port says so.

    Args:
        name: `worker`, `bridge`, `serve` or `gateway`.
        env: its whole environment, settings included.
        port: `TOPUP_HTTP_PORT`.
        module: what runs it; `console` is the product's own command.
        folder: for its log; a temporary one where none is given.
    """
    return Program(
        name,
        [sys.executable, "-m", module, name],
        env={**env, "TOPUP_HTTP_PORT": str(port)},
        ready=ready.answers(f"http://127.0.0.1:{port}/readyz"),
        restarts=True,
        folder=folder,
    )
