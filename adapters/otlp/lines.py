"""Log lines of orders that are traced name the trace."""

from adapters.otlp.settings import TraceLines
from orders.trace import trace_id
from runtime.telemetry import configure_logging


def name_traces(settings: TraceLines) -> None:
    """From now on, each log line with an `order_id` has its `trace_id`; where nothing is traced, none has."""
    if settings.otlp_endpoint is not None:
        configure_logging(trace_id_of=trace_id)
