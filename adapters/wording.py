"""Others' words as the operator may read them: short, one line, without personal data (contracts §8)."""

import re
import unicodedata
from typing import Final

MAX_CHARACTERS: Final = 200
_READ_CHARACTERS: Final = 4096
"""Of an answer that may be 1 MiB: looking at each letter of that would hold up everyone else."""

_LONG_NUMBER: Final = re.compile(r"\d(?:[ \-]?\d){10,}")
"""Phone numbers (11 digits and more), ICCIDs (19 and 20), identity cards (17 or 18)."""
_VIN: Final = re.compile(r"[A-HJ-NPR-Z0-9]{17,}", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"[!-~]{1,128}")
_REDACTED: Final = "[redacted]"


def for_operator(words: object) -> str:
    """At most 200 characters of `words`, "" if they are no text; long numbers and whatever looks like a VIN redacted.

    Redacts before it cuts, so that no part of a number stands at the end.
    """
    if not isinstance(words, str):
        return ""
    plain = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in words[:_READ_CHARACTERS])
    plain = " ".join(plain.split())
    plain = _LONG_NUMBER.sub(_REDACTED, plain)
    plain = _VIN.sub(lambda run: _REDACTED if any(map(str.isdigit, run.group())) else run.group(), plain)
    return plain[:MAX_CHARACTERS]


def quoted(words: object) -> str:
    """`for_operator`, as an insertion into a sentence: `: "…"`, or "" where nothing was said."""
    text = for_operator(words)
    return f': "{text}"' if text else ""


def reference(value: object) -> str:
    """Another system's own number for something, as it stands; "" where it is none."""
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else ""
