"""What an operator's name and note may be, wherever they are given: an audit trail is read by people."""

import unicodedata
from typing import Final, Literal

MOST_CHARACTERS: Final = {"operator": 100, "note": 2000}


def why_not_kept(member: Literal["operator", "note"], text: str) -> str:
    """Why the order book doesn't keep it, as a sentence; `""`: it does."""
    limit = MOST_CHARACTERS[member]
    if len(text) > limit:
        return f"{member} has {len(text)} characters; at most {limit} are kept: shorten it."
    if any(_is_unwritable(character) for character in text):
        return f"{member} holds a control character (such as NUL); write it as plain text."
    return ""


def _is_unwritable(character: str) -> bool:
    """Controls but tab and newline, and half surrogates: PostgreSQL holds neither NUL nor those."""
    return unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n"
