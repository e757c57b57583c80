"""Text from outside is never a command, markup or a control character, on whichever surface it is shown.

Each field that somebody outside fills gets the worst of each kind, and each surface is read as its reader would: the
shell's by a shell, Markdown by a parser, the terminal's and the log's letter by letter.
"""

import asyncio
import io
import json
import logging
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from adapters.kafka.dead_letters import DeadLetter, Head
from adapters.order_book.book import Event, NoticeState
from adapters.order_book.unmatched import StoredUnmatched
from console import dead_letters, display, exits, letters, reconciling, showing, tables, unmatched
from console.display import Step
from console.exits import CommandFailed
from console.runs import Listed
from console.showing import Found
from orders import shown_text
from orders.dead_letter import KeptLetter, Names, Source
from orders.next_step import AskPerson, QueryCarrier
from orders.operator_words import MOST_CHARACTERS
from orders.unmatched import UnmatchedPayment, UnmatchedState
from reconciliation.differences import Difference
from runtime.telemetry import configure_logging, get_logger
from workflows import requests, view
from workflows.durable import StepRunner
from workflows.steps import Progress, TopUpInput

AT = datetime(2026, 11, 28, tzinfo=UTC)
ORDER = "T20230821183406000001"
WORST = (
    "$(touch PWNED)",
    "`touch PWNED`",
    "'; touch PWNED; '",
    '"; touch PWNED; "',
    '" && touch PWNED #',
    "\\\"; touch PWNED; \\'",
    "!!; !touch",
    "a\ntouch PWNED\n",
    "\x1b]52;c;dG91Y2ggUFdORUQ=\x07",
    "\x1b[2J\x1b[31m\x9b31mred",
    "\u202egnp.exe\u2066\u200b\u2028\u2029\x85\ufeff",
    "\x00\x7f\x08\r\ud800",
    "[bold red]x[/bold red] [/] [link=http://evil]x[/link] \\[x] \\",
    "<img src=x onerror=alert(1)><script>x</script> &lt;b&gt; <!-- x",
    "](javascript:alert(1)) [x](http://evil) ![x](http://evil) <http://evil>",
    "http://evil.example www.evil.example a@evil.example mailto:a@evil.example",
    "**b** __b__ _i_ *i* ~~s~~ ``` # > - | --- $$x$$",
    "``` `` ` ```",
    '"}, {"operator": "boss", "outcome": "refunded", "x": "',
    "x" * 100_000,
)
KINDS = st.sampled_from(WORST) | st.text(max_size=200) | st.lists(st.sampled_from(WORST[:-1]), max_size=4).map("".join)
"""The worst of each kind, any text, and several of the worst one after the other."""
FLOOD = 6_000
"""Characters of one surface for which one text is answerable."""
EACH = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


def every_worst(test: Any) -> Any:
    for text in WORST:
        test = example(text=text)(test)
    return EACH(given(text=KINDS)(test))


def hidden(text: str) -> set[str]:
    return {letter for letter in text if not letter.isprintable() and letter != "\n"}


# --- the Web UI: Markdown -------------------------------------------------------------------------------------------


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def shape(markdown: str) -> list[tuple[str, str]]:
    """What a reader's eye gets: the kinds of elements, without their texts."""

    def of(tokens: list[Token]) -> Iterator[tuple[str, str]]:
        for token in tokens:
            if token.children is not None:
                yield from of(token.children)
            elif token.type != "text":
                yield token.type, token.tag

    return list(of(MARKDOWN.parse(markdown)))


def texts(markdown: str) -> str:
    """What GFM looks for bare links in: text, not code."""
    inline = (child for token in MARKDOWN.parse(markdown) for child in token.children or ())
    return "".join(child.content for child in inline if child.type == "text")


def spans(markdown: str) -> list[str]:
    inline = (child for token in MARKDOWN.parse(markdown) for child in token.children or ())
    return [child.content for child in inline if child.type == "code_inline"]


def views(text: str) -> Iterator[view.View]:
    """A run in each state whose details or labels hold somebody's words."""
    order = TopUpInput(order_id=ORDER, package_id="P", amount_fen=1, provider="wechat")
    for fields in (
        {"next": QueryCarrier(), "status": "parked", "attention": "partial"},
        {"next": AskPerson(why="manual"), "status": "parked", "attention": "manual"},
        {"next": QueryCarrier(), "status": "in_doubt"},
        {"next": QueryCarrier(), "status": "refunding", "carrier_outcome": "rejected", "refund_started": True},
    ):
        one = view.View(order, StepRunner(ORDER, 1.0))
        one.progress = Progress.model_validate(
            {**fields, "reason": text, "carrier_order_id": text, "proposal": f"{text} proposes delivered"}
        )
        yield one


@every_worst
def test_nothing_from_outside_is_markup_in_the_web_ui(text: str) -> None:
    for worst, harmless in zip(views(text), views("harmless"), strict=True):
        shown, expected = worst._details(), harmless._details()
        assert shape(shown) == shape(expected) or not text.strip()
        assert not re.search(r"https?://|\bwww\.|\S@\w", texts(shown), re.IGNORECASE)
        assert not hidden(shown)
        assert len(shown) < len(expected) + FLOOD


LABELS = (view.View.waiting_label, view.View.parked_label, view.View.wait_label)


def label_of(read: Any, one: view.View) -> str:
    label = read(one)
    return label if isinstance(label, str) else label.text


@every_worst
def test_nothing_from_outside_is_markup_or_too_long_in_a_timers_label(text: str) -> None:
    for worst, harmless in zip(views(text), views("harmless"), strict=True):
        for read in LABELS:
            if read is view.View.wait_label and not worst.progress.needs_operator:
                continue  # our own words alone
            shown = label_of(read, worst)
            assert "\n" not in shown
            assert not hidden(shown)
            assert shape(shown) == shape(label_of(read, harmless)) or not text.strip()
            assert len(re.sub(r"\\(?=[\W_])", "", shown)) <= view.LABEL_CHARACTERS + len("www ")


# --- what operators paste -------------------------------------------------------------------------------------------


def commands(text: str) -> list[str]:
    return [span for one in views(text) for span in spans(one._details()) if span.startswith("topup ")]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `topup` that prints the words that it was given."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "topup").write_text('#!/bin/sh\nfor word do printf "%s\\0" "$word"; done\nprintf "\\n\\0"\n')
    (folder / "topup").chmod(0o755)
    return folder


def test_a_pasted_command_is_one_command_and_runs_nothing_else(shell: Path) -> None:
    """All commands for each of the worst, in one shell: what it understood is what Python's reader of words reads."""
    pasted = [command for text in WORST for command in commands(text)]
    assert len(pasted) > len(WORST)

    script = "\n".join(pasted)
    path = {"PATH": f"{shell}:/usr/bin:/bin"}
    ran = subprocess.run(["bash", "-c", script], cwd=shell, env=path, capture_output=True, check=True)

    words = [part.split("\0")[:-1] for part in ran.stdout.decode().split("\n\0") if part]
    assert words == [shlex.split(command)[1:] for command in pasted]
    assert not ran.stderr
    assert [path.name for path in shell.iterdir()] == ["topup"]


@every_worst
def test_a_pasted_command_holds_the_carriers_words_in_one_word(text: str) -> None:
    for command, harmless in zip(commands(text), commands("harmless"), strict=True):
        words, expected = shlex.split(command), shlex.split(harmless)
        assert len(words) == len(expected) or not text.strip()
        assert "!" not in re.sub(r"'[^']*'", "", command), "an interactive shell's history would answer"


@every_worst
def test_a_pasted_update_is_one_json_object_with_the_members_that_it_should_have(text: str) -> None:
    for one in views(text):
        for span in spans(one._details()):
            if span.startswith("{"):
                assert json.loads(span).keys() <= {"operator", "note", "outcome"}
                assert json.loads(span)["operator"] == "YOUR NAME"


# --- the terminal ---------------------------------------------------------------------------------------------------


def letter(text: str) -> DeadLetter:
    value = text.encode(errors="surrogatepass")
    headers = tuple((f"topup-dlq-{name}", value) for name in ("reason", "error", "topic", "partition", "offset", "at"))
    return DeadLetter(0, 17, value, value, (*headers, (text.encode(errors="replace").decode(), value)))


def found_letter(text: str) -> letters.Found:
    kept = KeptLetter(Source(text, 1, 2, 3), "0:17", text, text, text, Names(order_id=text), "settled", AT, text, text)
    return letters.Found(kept, Head(kept, b"", len(text)), ("0:17",))


def difference(text: str) -> Difference:
    return Difference(
        text, "unsettled", text, text, text, text, text, 1, 2, "resolved", "", AT, AT, AT, operator=text, note=text
    )


def unmatched_payment(text: str) -> StoredUnmatched:
    payment = UnmatchedPayment.model_construct(
        provider=text, merchant_id=text, out_trade_no=text, transaction_id=text, amount_fen=1, currency=text,
        paid_at=text, reason=text,
    )  # fmt: skip
    state = UnmatchedState(payment, signed=False, ended_at=AT, ended_by=text, ended_note=text, order_id=text)
    return StoredUnmatched(state, AT, 0, 17)


def letters_are(patch: pytest.MonkeyPatch, found: letters.Found, text: str) -> None:
    async def all_found(_: object) -> list[letters.Found]:
        return [found]

    patch.setattr(letters, "found", all_found)
    patch.setattr(letters, "whole", lambda _settings, _one: letter(text))
    patch.setattr(dead_letters, "_settings", lambda: None)


class Books:
    """The order book, of which each reading is this."""

    def __init__(self, text: str) -> None:
        self.unmatched = self
        self.text = text

    @asynccontextmanager
    async def __call__(self, _: object) -> AsyncIterator["Books"]:
        yield self

    async def listed(self, *_: object, **__: object) -> list[StoredUnmatched]:
        return [unmatched_payment(self.text)]

    async def read(self, *_: object) -> StoredUnmatched:
        return unmatched_payment(self.text)

    async def differences(self, **_: object) -> list[Difference]:
        return [difference(self.text)]


def surfaces(text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each command that shows what somebody outside has said."""
    listed = Listed(text, text, needs_operator=True, run=text, package=text, provider=text, started_at=AT, reason=text)
    status = {"order_id": ORDER, "state": text, "reason": text, "needs_operator": True, text: text}
    status["notices"] = {text: {text: text}}
    found = Found(ORDER, run="running", status=status, book={"resolution_note": text, "carrier_order_id": text})
    found.do_now = next(views(text))._details()
    found.timeline = [Event(AT, "resolve", {"operator": text, "note": text, text: text})]
    found.notices = [NoticeState("delivered", "cars", "pending", text)]
    found.remarks = [text]
    letters_are(monkeypatch, found_letter(text), text)
    monkeypatch.setattr(unmatched, "_book", Books(text))
    monkeypatch.setattr(unmatched, "signed_by", lambda _: None)
    monkeypatch.setattr(reconciling, "_books", Books(text))
    settings = cast("Any", None)
    for as_json in (False, True):
        yield tables.print_orders([listed], as_json=as_json, none="", remark=text)
        yield showing.print_order(found, all_events=True, as_json=as_json)
        yield display.print_steps([Step("carrier", ok=False, says=text)], as_json=as_json)
        yield dead_letters.list_letters(as_json=as_json)
        yield dead_letters.show("0:17", with_value=True, as_json=as_json)
        yield exits.say(*CommandFailed(text).sentences)
        yield asyncio.run(unmatched.show_list(settings, open_only=False, as_json=as_json))
        yield asyncio.run(unmatched.show_one(settings, ("wechat", "1"), as_json=as_json))
        shape = "json" if as_json else "table"
        yield asyncio.run(reconciling.show(settings, "2026-11-28", open_only=False, shape=shape))
    yield asyncio.run(reconciling.show(settings, "2026-11-28", open_only=False, shape="csv"))


@pytest.mark.slow
@every_worst
def test_nothing_from_outside_acts_on_a_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for _ in surfaces(text, patch):
            printed, said = capsys.readouterr()
            assert not hidden(printed + said)


def test_what_looks_like_richs_markup_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    words = "[bold red]x[/bold red] [/] [link=http://evil]x[/link] \\"
    with pytest.MonkeyPatch.context() as patch:
        seen = [capsys.readouterr().out for _ in surfaces(words, patch)]

    for printed in seen[:5:2]:
        assert "[bold red]" in re.sub(r"\s+", " ", printed)
        assert "\x1b]8" not in printed


def test_a_listing_stays_a_page_whatever_a_dead_letter_says(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        letters_are(patch, found_letter("x" * 1_000_000), "x")
        dead_letters.list_letters()

    assert len(capsys.readouterr().out) < 60_000


# --- logs -----------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@every_worst
def test_a_log_record_is_one_json_line_and_hides_nothing(text: str) -> None:
    stream = io.StringIO()
    kept = logging.getLogger().handlers[:]
    configure_logging(stream=stream)
    try:
        get_logger("x").warning("carrier said", why=text, deep=[{text: text}])
        logging.getLogger("kafka").warning("%s", text)
    finally:
        logging.getLogger().handlers[:] = kept

    lines = stream.getvalue().splitlines()
    assert [json.loads(line)["level"] for line in lines] == ["warning", "warning"]
    assert not hidden(stream.getvalue())


@every_worst
def test_a_log_record_on_a_terminal_is_one_line_and_hides_nothing(text: str) -> None:
    stream = Terminal()
    kept = logging.getLogger().handlers[:]
    configure_logging(stream=stream)
    try:
        get_logger("x").warning("carrier said", why=text, deep=[text])
    finally:
        logging.getLogger().handlers[:] = kept

    shown = re.sub(r"\x1b\[\d+m", "", stream.getvalue())
    assert shown.count("\n") == 1
    assert not hidden(shown)


# --- what enters by a cancel, which nothing refuses -----------------------------------------------------------------


@every_worst
def test_a_cancels_reason_is_kept_in_bounds_and_in_characters_that_the_book_holds(text: str) -> None:
    for reason in (text, f"{text}: {text}"):
        request = requests.of_cancel(reason)
        assert len(request.operator) <= MOST_CHARACTERS["operator"]
        assert len(request.note) <= MOST_CHARACTERS["note"]
        assert not hidden(request.operator + request.note)


@pytest.mark.slow
def test_what_stands_in_a_text_is_seen() -> None:
    """An attempt is shown, not dropped: the operator reads it."""
    assert shown_text.one_line("a\x1b[2J \n b\u202e \x9b") == "a\\x1b[2J b\\u202e \\x9b"
    assert shown_text.json_text({"a": "\x9b中\U0001f600"}) == '{"a": "\\u009b中😀"}'
    assert shown_text.code("a`b") == "``a`b``"
    assert shown_text.shell_word("given up: a-1") == '"given up: a-1"'
    assert shown_text.shell_word("$(x)") == "'$(x)'"
