"""What a local stack is made of, as the command line chose it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

EMBEDDED: Final = "embedded"
APACHE: Final = "apache"
AUTOMATIC: Final = "auto"
COMPLETION_SECONDS: Final = 360
"""Above the product's default of 300: the waits are scaled here, a small machine's own work is not, and an order that
the machine kept back past its date is refunded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One local stack.

    Attributes:
        folder: where all that it keeps stands.
        usual_ports: take the well-known ports where they are free; else every port is an arbitrary free one.
        time_scale: for product and simulators alike.
        completion_seconds: how long the carrier may take to complete an order (`TOPUP_CARRIER_COMPLETION_SECONDS`).
        kafka: `embedded`, `apache`, or `host:port` of one that runs already.
        mqtt: `auto` (mosquitto where installed, else embedded), `embedded`, or `mqtt://host:port`.
        database_url: empty = SQLite in the folder.
        one_process: bridge and worker as `topup serve`, else each as a process of its own, to be killed alone.
        asked: settings that the product gets where the stack has none of its own for them.
        legacy_platform: also a second, old MQTT platform, which hangs until `bring_legacy_back`.
    """

    folder: Path
    usual_ports: bool
    time_scale: float
    completion_seconds: int = COMPLETION_SECONDS
    kafka: str = EMBEDDED
    mqtt: str = AUTOMATIC
    database_url: str = ""
    one_process: bool = False
    asked: Mapping[str, str] = field(default_factory=dict[str, str])
    legacy_platform: bool = False
