import io
import json
import logging
from datetime import datetime, timedelta

import pytest
import structlog

from adapters.otlp.lines import name_traces
from adapters.otlp.settings import TraceLines
from orders.trace import trace_id
from runtime.telemetry import configure_logging, get_logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_record_is_one_json_line_that_starts_with_event_level_and_at():
    stream = io.StringIO()
    configure_logging(stream=stream)
    get_logger("test").info("listening", port=8081, note="two\nlines")
    (line,) = lines(stream)
    assert list(line)[:3] == ["event", "level", "at"]
    assert (line["event"], line["level"], line["port"], line["note"]) == ("listening", "info", 8081, "two\nlines")
    assert datetime.fromisoformat(str(line["at"])).utcoffset() == timedelta(0)


class Raises:
    def __str__(self) -> str:
        raise ValueError("14400000001")

    __repr__ = __str__


def test_what_can_not_be_made_a_line_is_one_all_the_same_and_shows_nothing(capsys: pytest.CaptureFixture[str]):
    """Python printed message and arguments as they stood, past the redaction, or raised at whoever logged."""
    stream, deep, cycle = io.StringIO(), dict[str, object](), dict[str, object]()
    configure_logging(stream=stream)
    cycle["LSGBC5342AG000001"] = cycle
    for _ in range(5_000):
        deep = {"LSGBC5342AG000001": deep}
    for said in (("phone %d of %d", "14400000001"), ("phone", "14400000001")):
        logging.getLogger("some.library").warning(*said)
    for value in (deep, cycle, Raises()):
        get_logger("test").warning("said", value=value)
    logging.getLogger("some.library").warning("well")

    written = stream.getvalue() + capsys.readouterr().err
    assert "14400000001" not in written
    assert "LSGBC5342AG000001" not in written
    assert [line["event"] for line in lines(stream)] == ["a log line could not be made"] * 5 + ["well"]
    assert lines(stream)[0]["reason"] == "TypeError"
    assert str(lines(stream)[0]["where"]).startswith("test_telemetry:")


def test_a_stream_that_takes_no_line_is_told_nothing_of_it(capsys: pytest.CaptureFixture[str]):
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("no space left")

    configure_logging(stream=Full())
    logging.getLogger("some.library").warning("phone %s", "14400000001")
    assert capsys.readouterr().err == ""


def test_a_logger_made_before_the_configuration_follows_it():
    log = get_logger("early")
    stream = io.StringIO()
    configure_logging(stream=stream)
    log.warning("waiting")
    assert lines(stream)[0]["level"] == "warning"


def test_libraries_speak_through_the_same_lines_and_the_chatty_ones_from_warning_up():
    stream = io.StringIO()
    configure_logging(stream=stream)
    logging.getLogger("some.library").info("connected to %s", "host")
    logging.getLogger("httpx").info("GET https://carrier/?iccid=89860321247550000015")
    logging.getLogger("kafka.conn").warning("lost %(node)s", {"node": 1})
    assert [(line["event"], line["logger"]) for line in lines(stream)] == [
        ("connected to host", "some.library"),
        ("lost 1", "kafka.conn"),
    ]


def test_a_traceback_is_one_member_of_the_line_and_is_redacted():
    stream = io.StringIO()
    configure_logging(stream=stream)
    try:
        int("car LSGBC5342AG000001")
    except ValueError:
        get_logger("test").exception("failed")
    (line,) = lines(stream)
    assert "'car [vin]'" in str(line["exception"])
    assert "LSGBC5342AG000001" not in stream.getvalue()


def test_a_library_s_traceback_is_redacted_too():
    stream = io.StringIO()
    configure_logging(stream=stream)
    try:
        int("car 14400000001")
    except ValueError:
        logging.getLogger("library").exception("broken")
    assert "14400000001" not in stream.getvalue()
    assert "ValueError" in str(lines(stream)[0]["exception"])


def test_what_json_cannot_say_is_said_as_text():
    stream = io.StringIO()
    configure_logging(stream=stream)
    get_logger("test").info("odd", value={1, 2}, kind=object, surrogate="\ud800")
    assert lines(stream)[0]["event"] == "odd"


def test_a_terminal_gets_readable_text():
    stream = Terminal()
    configure_logging(stream=stream)
    get_logger("test").info("listening", port=8081, car="LSGBC5342AG000001")
    text = stream.getvalue()
    assert "listening" in text
    assert "[vin]" in text
    assert not text.startswith("{")


def test_lines_of_an_order_name_its_trace_where_orders_are_traced(capsys: pytest.CaptureFixture[str]):
    for endpoint, traced in ((None, False), ("http://127.0.0.1:4318", True)):
        configure_logging()
        name_traces(TraceLines.model_construct(otlp_endpoint=endpoint))
        get_logger("test").info("started", order_id="T20230821183406000001")
        get_logger("test").info("callback", order_id="")
        of_order, of_none = map(json.loads, capsys.readouterr().err.splitlines())
        assert of_order.get("trace_id") == (trace_id("T20230821183406000001") if traced else None)
        assert "trace_id" not in of_none
