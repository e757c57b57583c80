"""The runbook's commands, parsed out of the markdown: what the document says is what the tests run."""

import re
from dataclasses import dataclass
from pathlib import Path

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"
NEVER = "Never"
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`((?:topup|temporal) [^`]+)`")
_SETTING = re.compile(r"[A-Z]+=\S+")


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a shell block."""

    section: str
    text: str

    def __str__(self) -> str:
        return f"{self.section}: {self.text}"


def sections() -> dict[str, str]:
    """Heading → text."""
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True)) | {"": parts[0]}


def commands() -> list[Command]:
    """Every command of every shell block, but for those that only set a variable."""
    return [
        Command(section, line.strip())
        for section, text in sections().items()
        for block in _BLOCK.findall(text)
        for line in block.splitlines()
        if line.strip() and not _SETTING.fullmatch(line.strip())
    ]


def mentioned(*, never: bool) -> set[str]:
    """Commands that stand in the text: in the first column of "Never", or else everywhere."""
    found: set[str] = set()
    for section, text in sections().items():
        prose = _BLOCK.sub("", text)
        for line in prose.splitlines():
            forbidden, _, rest = line.removeprefix("|").partition("|")
            if section == NEVER and line.startswith("|"):
                found |= set(_INLINE.findall(forbidden if never else rest))
            elif not never:
                found |= set(_INLINE.findall(line))
    return {" ".join(one.split()) for one in found}
