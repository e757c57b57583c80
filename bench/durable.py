"""The tests' servers with the settings of production: durable to power loss, and not tuned for a short life."""

from collections.abc import Mapping, Sequence
from typing import Final

from devkit.servers.kafka import Kafka
from devkit.servers.postgres import Postgres

SETTINGS: Final[Mapping[str, str]] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "autovacuum_naptime": "1min",
}


class DurablePostgres(Postgres):
    """PostgreSQL with `fsync`; what stands on the command line overrides the tests' configuration file."""

    def command(self) -> Sequence[str]:
        """The command line."""
        return [*super().command(), *(word for item in SETTINGS.items() for word in ("-c", "=".join(item)))]


class SteadyKafka(Kafka):
    """Apache Kafka with its whole compiler; acknowledged records are in the page cache, as Kafka does by default."""

    def command(self) -> Sequence[str]:
        """The command line."""
        return [word for word in super().command() if word != "-XX:TieredStopAtLevel=1"]
