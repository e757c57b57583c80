"""Where traces go, and which."""

import re
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import unquote

from runtime import values
from runtime.settings import Group, parsed, setting

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_RATIO: Final = re.compile(r"[01](\.[0-9]{1,9})?|\.[0-9]{1,9}", re.ASCII)


def headers(text: str) -> Mapping[str, str]:
    """`name=value,name=value`, values percent-encoded, as OpenTelemetry's own variables have it."""
    found: dict[str, str] = {}
    for one in text.split(","):
        name, has_value, value = one.partition("=")
        decoded = unquote(value.strip())
        if (
            not has_value
            or _HEADER.fullmatch(name.strip()) is None
            or not (decoded.isascii() and decoded.isprintable())
        ):
            raise ValueError("must be name=value pairs, separated by commas, their values percent-encoded")
        found[name.strip().lower()] = decoded
    return found


def ratio(text: str) -> float:
    """From 0 to 1."""
    if _RATIO.fullmatch(text) is None or float(text) > 1:
        raise ValueError("must be a number from 0 to 1")
    return float(text)


class TraceLines(Group):
    """Whether orders are traced; log lines then name the trace."""

    otlp_endpoint: Annotated[str | None, parsed(values.http_url)] = setting(
        None,
        meaning="OpenTelemetry collector, before `/v1/traces` (OTLP over HTTP, JSON): gets the traces of orders that "
        "were in trouble, and log lines name the trace; none: nothing is traced",
        example="http://127.0.0.1:4318",
    )


class Tracing(TraceLines):
    """Which orders' traces the collector gets, and how it is spoken to."""

    otlp_headers: Annotated[Mapping[str, str], parsed(headers)] = setting(
        {},
        default_text="",
        meaning="headers for the collector: `name=value` pairs separated by commas, values percent-encoded",
        example="'authorization=Bearer%20a-token'",
        secret=True,
    )
    otlp_cafile: values.CaFile | None = setting(
        None,
        meaning="file with the CA of the collector (PEM), in place of the public ones",
        example="/run/secrets/collector-ca.pem",
    )
    trace_ratio: Annotated[float, parsed(ratio)] = setting(
        0.0, meaning="share of the orders that are traced though nothing was wrong, 0 to 1", example="0.01"
    )
    trace_slow_seconds: Annotated[float, parsed(values.seconds(1, 7 * 86400))] = setting(
        120.0, meaning="seconds from payment to end above which an order is traced as slow", example="120"
    )
