"""Text from outside is data: what carrier, provider, operators and records say, made harmless for where it is shown.

One function for each place: a line, a terminal or log, Markdown (the Web UI), a shell word, JSON. Each shows what
stands there, so that a person sees an attempt; none lets it act, hide, or fill the screen.
"""

import json
import re
import shlex
from typing import Any, Final

MOST_CHARACTERS: Final = 500
"""Of one text in a line; who needs the whole asks for JSON."""
_ENDS: Final = "…"
_ESCAPED: Final = re.compile(r"[\\`*\[\]<&|~$]|!(?=\[)|(?<![^\W_])_|_(?![^\W_])")
"""What may begin markup in the middle of a line (CommonMark, GFM's tables and strikethrough)."""
_LINKED: Final = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\S)(?=@)", re.IGNORECASE)
"""Where GFM makes a link of bare text; it looks at the text after escapes, so only a blank breaks it."""
_CHAT: Final = str.maketrans({"<": "＜", ">": "＞", "&": "＆", "@": "＠"})
"""What a chat reads as markup, in the width of Chinese text: each chat has other escapes for them, or none."""
_DOUBLE_QUOTABLE: Final = re.compile(r"[0-9A-Za-z ._:/#,+@%=()-]*", re.ASCII)


def visible(text: str) -> str:
    r"""`text` with nothing in it that isn't seen, but line breaks: ESC becomes `\x1b`, an override `\u202e`.

    Controls, formats (direction, zero width), half surrogates, private and unassigned characters, odd blanks.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else _escape(letter) for letter in text)


def one_line(text: object, most: int = MOST_CHARACTERS) -> str:
    """At most `most` characters of it, on one line, all of them seen."""
    given = str(text)
    words = " ".join(given[: 4 * most].split())  # what is far beyond the cut costs nothing
    return _cut(visible(words), most, more=len(given) > 4 * most)


def in_lines(text: str, most: int) -> str:
    """Several lines, a traceback: at most `most` characters of them, all of them seen."""
    return _cut(visible(text[:most]), most, more=len(text) > most)


def markdown(text: object, most: int = MOST_CHARACTERS) -> str:
    """Words within a line of Markdown, after something of ours: no markup, no HTML, no link."""
    return _ESCAPED.sub(r"\\\g<0>", _LINKED.sub(" ", one_line(text, most)))


def chat(text: object, most: int = MOST_CHARACTERS) -> str:
    """A line of a chat message (Slack, WeCom, DingTalk, Feishu): it mentions nobody, and nothing in it is a link."""
    return _LINKED.sub(" ", one_line(text, most).translate(_CHAT))


def code(text: object, most: int = MOST_CHARACTERS) -> str:
    """A code span of Markdown that ends where we end it (CommonMark: by a longer fence than any within)."""
    shown = one_line(text, most)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def shell_word(text: object, most: int = MOST_CHARACTERS) -> str:
    """One word of a POSIX shell, however it is read: nothing in it is expanded or ends it."""
    shown = one_line(text, most)
    return f'"{shown}"' if _DOUBLE_QUOTABLE.fullmatch(shown) else shlex.quote(shown)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """JSON that any terminal can show: what isn't seen is escaped, all else stands as it is."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def _escape(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004 - widths of the three escapes


def _cut(text: str, most: int, *, more: bool) -> str:
    return f"{text[: most - 1].rstrip()}{_ENDS}" if more or len(text) > most else text
