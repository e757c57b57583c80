"""How a command ends: exit codes that mean something, and sentences instead of tracebacks."""

import sys
from enum import IntEnum

from orders import shown_text
from runtime.exits import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK

MOST_CHARACTERS = 4000
"""Of one sentence, which may hold others' words."""


class Exit(IntEnum):
    """What a command's exit code means."""

    OK = EXIT_OK
    NOT_OK = EXIT_FAILED
    """The command ran and the answer is no: a part is away, an update was refused, the demo's audit failed."""
    WRONG_USAGE = EXIT_CONFIGURATION
    """Wrong options or wrong configuration; nothing was done."""
    INTERRUPTED = EXIT_INTERRUPTED
    """Ctrl-C."""


class CommandFailed(Exception):
    """Ends a command: sentences for a person, on standard error, and an exit code."""

    def __init__(self, *sentences: str, code: Exit = Exit.NOT_OK) -> None:
        super().__init__(*sentences)
        self.sentences = sentences
        self.code = code


def say(*sentences: str) -> None:
    """Sentences on standard error, one per line."""
    for sentence in sentences:
        print(f"topup: {shown_text.in_lines(sentence, MOST_CHARACTERS)}", file=sys.stderr)
