"""Measures every attempt of a step, and counts the ends, for `/metrics`."""

import logging
import time
from asyncio import CancelledError
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from orders.next_step import Done
from runtime.metrics import Metrics
from workflows.steps import RECORD_ORDER, Progress


def is_unexpected(record: logging.LogRecord) -> bool:
    """For the SDK's log of failed attempts: false for those that are only to be tried again (`activities.context`).

    Temporal shows each with its sentence; as log lines with stack traces they were the worker's loudest.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ApplicationError | CancelledError)


class MeasuringInterceptor(Interceptor):
    """Adds measuring to each activity."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        """Wrap `next`."""
        return _Measuring(next, self._metrics)


class _Measuring(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, metrics: Metrics) -> None:
        super().__init__(inner)
        self._metrics = metrics

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        step, began, result = activity.info().activity_type, time.perf_counter(), "failed"
        try:
            answer = await super().execute_activity(input)
            result = "done"
        finally:
            self._metrics.histogram("topup_step_seconds").labels(step, result).observe(time.perf_counter() - began)
        if step == RECORD_ORDER.name and isinstance(answer, Progress) and isinstance(answer.next, Done):
            self._metrics.counter("topup_orders_settled_total").labels(answer.next.outcome).inc()
        return answer
