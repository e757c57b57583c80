"""The entry point of `topup`; `python -m console` is the same."""

import sys
from typing import Final

from runtime.exits import end_on_sigterm

PROCESSES: Final = ("worker", "bridge", "serve", "gateway", "codec-server")
"""Run until SIGTERM, from their first moment on: what they import takes a second or two."""


def main() -> None:
    """Run the command; never returns."""
    if sys.argv[1:2] in ([process] for process in PROCESSES):
        end_on_sigterm()
    from console.main import main as run  # noqa: PLC0415 - not before SIGTERM is heard

    run()


if __name__ == "__main__":
    main()
