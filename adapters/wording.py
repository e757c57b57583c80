"""Others' words as the operator may read them: short, one line, without personal data (contracts §8)."""

import math
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
    """At most 200 characters of `words`, "" if they are no scalar; long numbers and whatever looks like a VIN redacted.

    Redacts before it cuts, so that no part of a number stands at the end.
    """
    text = text_of(words)
    if text is None:
        return ""
    narrow = unicodedata.normalize("NFKC", text[:_READ_CHARACTERS])  # an input method writes a VIN wide
    seen = "".join(letter for letter in narrow if unicodedata.category(letter) != "Cf")  # it would stand in a number
    plain = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in seen)
    plain = " ".join(plain.split())
    plain = _LONG_NUMBER.sub(_REDACTED, plain)
    plain = _VIN.sub(lambda run: _REDACTED if any(map(str.isdigit, run.group())) else run.group(), plain)
    return plain[:MAX_CHARACTERS]


def quoted(words: object) -> str:
    """`for_operator`, as an insertion into a sentence: `: "…"`, or "" where nothing was said."""
    text = for_operator(words)
    return f': "{text}"' if text else ""


def text_of(value: object) -> str | None:
    """A JSON scalar as its text; None for null, an object, an array, and numbers that JSON has no text for.

    Another side that sends a number where a text was agreed on means the same by it: nothing is left in doubt for that.
    """
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else None
        case _:
            return None


def reference(value: object) -> str:
    """Another system's own number for something, as its text stands; "" where it is none."""
    text = text_of(value)
    return text if text is not None and _REFERENCE.fullmatch(text) else ""
