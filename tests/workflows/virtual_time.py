"""One clock for runs and their activities, when the server skips time.

A regular activity learns its run's time from the server; a local one does not, so an interceptor hands it over.
"""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

_HEADER = "virtual-now"
_now: ContextVar[tuple[datetime, float] | None] = ContextVar("virtual_now", default=None)


class VirtualClock:
    """`orders.clock.Clock` on the time of the run whose activity asks; real time elsewhere."""

    def now(self) -> datetime:
        seen = _now.get()
        if seen is None:
            return datetime.now(UTC)
        at, read_at = seen
        return at + timedelta(seconds=time.monotonic() - read_at)


class VirtualTime(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's name
        return _Activity(next)

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:  # noqa: A002 - the SDK's name
        return _Workflow


class _Activity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        info = activity.info()
        handed: Mapping[str, Payload] = input.headers
        at = datetime.fromisoformat(handed[_HEADER].data.decode()) if info.is_local else info.started_time
        _now.set((at, time.monotonic()))
        return await super().execute_activity(input)


class _Workflow(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002 - the SDK's name
        payload = Payload(metadata={"encoding": b"binary/plain"}, data=workflow.now().isoformat().encode())
        return super().start_local_activity(replace(input, headers={**input.headers, _HEADER: payload}))
