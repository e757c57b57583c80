"""Logs: one JSON object per line on stderr, readable text where stderr is a terminal (contracts §8).

Everything goes through one handler: our `structlog` events and what libraries say through `logging`. Each record has
`event`, `level` and `at` (RFC 3339, UTC), and passes `runtime.redaction` last.
"""

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog
from structlog.stdlib import BoundLogger
from structlog.typing import Processor, WrappedLogger

from orders import shown_text
from runtime.redaction import redacted_record

QUIET_LIBRARIES: Final = (
    "aiosqlite",
    "alembic",
    "asyncio",
    "httpcore",
    "httpx",
    "kafka",
    "sqlalchemy",
    "temporalio",
    "uvicorn",
)
"""Heard from WARNING up."""

MOST_CHARACTERS: Final = 20_000
"""Of one text of a log line; a traceback fits."""
_FAILED: Final = (
    '{"event": "a log line could not be made", "level": "error", "at": "%s", "logger": %s, "where": %s, "reason": %s}'
)
_FIRST: Final = ("event", "level", "at")
_IN_LINES: Final = ("exception", "stack")


def configure_logging(
    *, stream: TextIO | None = None, level: int = logging.INFO, trace_id_of: Callable[[str], str] | None = None
) -> None:
    """Send all logs of this process to `stream` (stderr). Call again to start over.

    `trace_id_of`: the trace ID of an order, which each line with an `order_id` then has as `trace_id`.
    """
    out = sys.stderr if stream is None else stream
    handler = _Handler(out)
    handler.setFormatter(_formatter(readable=out.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            *([] if trace_id_of is None else [_naming_traces(trace_id_of)]),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # modules get their logger at import, before this was called
    )


class _Handler(logging.StreamHandler[TextIO]):
    """Python's own prints what it can't format as it stands, past the redaction, or raises it at whoever logs."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or one that says which could not be made."""
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 - arguments that don't fit, a text that raises, endless nesting
            at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            where = f"{record.module}:{record.lineno}"
            return _FAILED % (at, json.dumps(record.name), json.dumps(where), json.dumps(type(error).__name__))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """A stream that takes no line takes no word about it either, least of all the record as it stands."""


def get_logger(name: str) -> BoundLogger:
    """A logger: `log.info("started", order_id=…)`. Event = a few fixed words, the rest as keys, no personal data."""
    return structlog.stdlib.get_logger(name)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]


def _naming_traces(trace_id_of: Callable[[str], str]) -> Processor:
    def name(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        order_id = event.get("order_id")
        if isinstance(order_id, str) and order_id:
            event["trace_id"] = trace_id_of(order_id)
        return event

    return name


def _formatter(*, readable: bool) -> logging.Formatter:
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _text_of_exception, _redact]
    if readable:
        last.append(_seen)
    renderer: Processor = structlog.dev.ConsoleRenderer(timestamp_key="at", pad_event_to=0) if readable else _json_line
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            *_shared(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.add_logger_name,
        ],
        processors=[*last, renderer],
    )


def _text_of_exception(logger: WrappedLogger, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback as text, so that it can be redacted."""
    return structlog.processors.format_exc_info(logger, method, event)


def _redact(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Whole texts are redacted before they are cut, so that no part of a number stands at the end."""
    return {key: _bounded(value) for key, value in redacted_record(event).items()}


def _bounded(value: object) -> object:
    return f"{value[:MOST_CHARACTERS]}…" if isinstance(value, str) and len(value) > MOST_CHARACTERS else value


def _seen(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For a terminal: a text is one line, a traceback its lines; the renderer escapes what stands deeper (`repr`)."""
    return {key: _seen_text(key, value) if isinstance(value, str) else value for key, value in event.items()}


def _seen_text(key: str, text: str) -> str:
    show = shown_text.in_lines if key in _IN_LINES else shown_text.one_line
    return show(text, MOST_CHARACTERS + 1)


def _json_line(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
    ordered = {key: event[key] for key in _FIRST if key in event} | dict(event)
    return shown_text.json_text(ordered)
