"""Nothing points to what is not in this repository: sections, documents, decisions, files and tests named anywhere.

Looked through is every text of ours: Python, Markdown, TOML, YAML, shell, Makefile, Dockerfile.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXTS = frozenset({".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".in", ".example"})
NAMES = frozenset({"Makefile", "Dockerfile"})
PROSE = ("README.md", "docs/", "bench/README.md", "deploy/README.md", "simulators/README.md", "tests/model/README.md")
"""Where a file in backticks must be there: elsewhere, and in the changelog, it may be one of another program."""

SECTION = re.compile(r"(?<!RFC \d{4} )§(\d+)(?!\d)(?!\.\d)")
"""A dotted number is a section of somebody else's standard."""
DOCUMENT = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.md)\b")
IN_DOCS = re.compile(r"\b(docs/[\w./-]*\w)")
DECISION = re.compile(r"\bADR (\d+)")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|md|toml|yml|json|lock|sh))\b[^`]*`")
OUTSIDE = re.compile(r"\.\./shared\b|/work/|(?<![\w.])/tmp/wt/")


def texts() -> Iterator[Path]:
    """Our files; hidden folders (the virtual environment, unpacked parts) and what is generated are none."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if any(part.startswith(".") or part in {"node_modules", "dist", "build"} for part in parts):
            continue
        if path.is_file() and (path.suffix in TEXTS or path.name in NAMES) and path != Path(__file__):
            yield path


@functools.cache
def sections() -> frozenset[str]:
    return frozenset(re.findall(r"^## (\d+)\. ", (ROOT / "docs" / "contracts.md").read_text(), re.MULTILINE))


@functools.cache
def anchors(document: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings)


@functools.cache
def names_of(path: Path) -> frozenset[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_there(name: str, beside: Path) -> bool:
    """A document is named from the repository's root, from the file's own folder, or from docs/."""
    folders = (ROOT, beside, ROOT / "docs", ROOT / "docs" / "adr")
    return any((folder / name).is_file() for folder in folders)


def missing(path: Path, text: str) -> Iterator[str]:
    """What a text points to that is not there."""
    here = path.relative_to(ROOT).as_posix()
    yield from (f"contracts §{number}" for number in SECTION.findall(text) if number not in sections())
    yield from (name for name in DOCUMENT.findall(text) if not is_there(name, path.parent))
    yield from (name for name in IN_DOCS.findall(text) if not (ROOT / name).exists())
    for number in DECISION.findall(text):
        if not list((ROOT / "docs" / "adr").glob(f"{int(number):04}-*.md")):
            yield f"ADR {number}"
    yield from OUTSIDE.findall(text)
    for file, test in TEST.findall(text):
        if not (ROOT / file).is_file() or test not in names_of(ROOT / file):
            yield f"{file}::{test}"
    if here.startswith(PROSE):
        named = FILE.findall(text)
        yield from (name for name in named if not (ROOT / name).exists() and not is_there(name, path.parent))
    if path.suffix == ".md":
        yield from broken_links(path, text)


def broken_links(path: Path, text: str) -> Iterator[str]:
    for target, anchor in LINK.findall(text):
        if target.startswith(("http://", "https://")):
            continue
        document = path.parent / target if target else path
        if not document.exists():
            yield target
        elif anchor and anchor not in anchors(document):
            yield f"{target}#{anchor}"


@pytest.mark.slow
def test_nothing_points_to_what_is_not_in_this_repository():
    found = {path.relative_to(ROOT).as_posix(): list(missing(path, path.read_text())) for path in texts()}

    assert len(found) > 300
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("as contracts §12 says", "contracts §12"),
        ("(design.md, the saga)", "design.md"),
        ("see docs/nowhere.md.", "docs/nowhere.md"),
        ("(docs/nowhere/)", "docs/nowhere"),
        ("decided in ADR 99", "ADR 99"),
        ("`tests/test_documents.py::test_that_is_not_there`", "tests/test_documents.py::test_that_is_not_there"),
        ("in `orders/nothing.py`", "orders/nothing.py"),
        ("[words](nowhere.html)", "nowhere.html"),
        ("[words](runbook.md#no-such-section)", "runbook.md#no-such-section"),
        ("from ../shared/x", "../shared"),
    ],
)
def test_each_kind_of_reference_to_nothing_is_found(text: str, fault: str):
    assert fault in list(missing(ROOT / "docs" / "new.md", text))


@pytest.mark.parametrize(
    "text",
    [
        "contracts §4 and §9; MQTT 5 §3.2.2.3.14; RFC 3339 §99", "runbook.md, docs/keys.md, README.md", "ADR 1",
        "[restore](restore.md)", "[parked](runbook.md#look-first)", "`orders/record.py`", "https://example.org/x.md",
    ],
)  # fmt: skip
def test_what_is_there_is_no_fault(text: str):
    assert list(missing(ROOT / "docs" / "new.md", text)) == []


def test_each_rule_of_money_names_a_test_that_shows_it():
    rows = [row for row in (ROOT / "docs" / "money.md").read_text().splitlines() if re.match(r"\| \d+ \|", row)]

    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 15))
    assert [row for row in rows if not TEST.search(row)] == []


def test_the_chinese_page_gives_no_command_that_the_runbook_does_not():
    """Those of the runbook are run (`tests/console/test_runbook.py`)."""
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    blocks = (ROOT / "docs" / "runbook.zh.md").read_text().split("```sh\n")[1:]
    commands = [line for block in blocks for line in block.split("```")[0].splitlines()]

    assert len(commands) > 8
    assert [command for command in commands if f"\n{command}\n" not in runbook] == []


def test_each_section_of_the_runbook_has_its_counterpart_on_the_chinese_page_and_the_other_way_round():
    english, chinese = ((ROOT / "docs" / name).read_text() for name in ("runbook.md", "runbook.zh.md"))
    headings = re.findall(r"^## (.+)$", english, re.MULTILINE)
    names = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    sections = chinese.split("\n## ")[1:]
    linked = [set(re.findall(r"\(runbook\.md#([\w-]+)\)", section)) for section in sections]

    assert len(names) > 25
    assert sorted(names - set().union(*linked)) == []
    assert [section.splitlines()[0] for section, links in zip(sections, linked, strict=True) if not links] == []


def test_both_pages_say_the_same_things_that_a_person_is_called_for():
    called = [
        set(re.findall(r"^\| `(\w+)` \|", part.partition("\n## ")[0], re.MULTILINE))
        for name, before in (("runbook.md", "(`attention`)"), ("runbook.zh.md", "| `attention` |"))
        for part in [(ROOT / "docs" / name).read_text().partition(before)[2]]
    ]

    assert called[0] == called[1]
    assert len(called[0]) >= 8
