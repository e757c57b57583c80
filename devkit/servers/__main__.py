"""`python -m devkit.servers fetch|status`: get what is missing into `.parts/`, or say what is there."""

import argparse
import sys
from collections.abc import Callable

from devkit.servers import kafka, mosquitto, postgres, temporal
from devkit.servers.fetch import say
from devkit.servers.process import PartMissingError

# Name; what finds it here or raises PartMissingError; what gets it.
CATALOGUE: tuple[tuple[str, Callable[[], object], Callable[[], None]], ...] = (
    ("PostgreSQL", postgres.find, postgres.get),
    ("Apache Kafka", kafka.find, kafka.get),
    ("mosquitto", mosquitto.find, mosquitto.get),
    ("Temporal", temporal.find, temporal.get),
)


def main() -> int:
    """Exit code 0 when every part is there, 1 when one could not be had."""
    parser = argparse.ArgumentParser(prog="python -m devkit.servers", description=__doc__)
    parser.add_argument("command", choices=["fetch", "status"])
    fetching = parser.parse_args().command == "fetch"
    missing = 0
    for name, find, get in CATALOGUE:
        try:
            say(f"{name}: {_found_or_fetched(find, get) if fetching else find()}")
        except PartMissingError as error:
            missing += 1
            say(f"{name}: not there: {error}")
    return 1 if missing else 0


def _found_or_fetched(find: Callable[[], object], get: Callable[[], None]) -> object:
    try:
        return find()
    except PartMissingError:
        get()
        return find()


if __name__ == "__main__":
    sys.exit(main())
