"""The connection to Temporal, the same in every process."""

import asyncio
import dataclasses
import functools
import logging
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetSystemInfoRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter, SerializationContext
from temporalio.exceptions import ApplicationError
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    MetricBuffer,
    MetricBufferDurationFormat,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import KeepAliveConfig, RPCError, RPCStatusCode

from runtime.payload_codec import Binding, EncryptingCodec, UnreadablePayload, binding_of
from runtime.redaction import in_one_line
from runtime.settings import ProcessSettings
from runtime.settings.groups import PayloadEncryption
from runtime.waiting import wait_for

CONNECT_SECONDS: Final = 10.0
CHECK_SECONDS: Final = 2.0
KEEP_ALIVE: Final = KeepAliveConfig(interval_millis=15_000, timeout_millis=10_000)
"""A connection that a frozen host or a proxy swallowed is replaced within 25 s; the server allows pings each 10 s."""
BUFFERED_UPDATES: Final = 200_000
"""Some 80 s of a full worker (55 updates per order, measured); drained each second."""
BOUND_AT_ONCE: Final = 2_000
"""Data converters kept by workflow: more than a full worker has in hand, some MiB."""
LANGUAGE: Final = "orders"
"""The package whose errors are sentences for an operator, so that a stack trace adds nothing."""


class SentenceFailureConverter(DefaultFailureConverter):
    """Failures as the Web UI shows them: no stack trace under errors of our own.

    Ours are `ApplicationError`s, which are raised on purpose, and those of `orders`. A bug keeps its trace.
    """

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Fill `failure` from `exception` (see base class)."""
        package = type(exception).__module__.partition(".")[0]
        if isinstance(exception, ApplicationError | UnreadablePayload) or package == LANGUAGE:
            with _no_traces(exception):
                super().to_failure(exception, payload_converter, failure)
        else:
            super().to_failure(exception, payload_converter, failure)


@contextmanager
def _no_traces(exception: BaseException) -> Generator[None]:
    """Take the traces away beforehand: to format them looks at each source file, half of a worker's time (measured)."""
    traces: list[tuple[BaseException, TracebackType | None]] = []
    error: BaseException | None = exception
    while error is not None:
        traces.append((error, error.__traceback__))
        error.__traceback__ = None
        error = error.__cause__ if error.__cause__ is not None else error.__context__
    try:
        yield
    finally:
        for one, trace in traces:
            one.__traceback__ = trace  # the log may want it


class EncodingFailureConverter(SentenceFailureConverter):
    """Likewise, with message and trace among what the codec encrypts; without the key, one reads "Encoded failure"."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)
        self._in_clear = SentenceFailureConverter()

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Fill `failure` from `exception` (see base class)."""
        if isinstance(exception, UnreadablePayload):  # to be read by those who lack a key; it says nothing of an order
            self._in_clear.to_failure(exception, payload_converter, failure)
        else:
            super().to_failure(exception, payload_converter, failure)


class SharedPayloadConverter(PydanticPayloadConverter):
    """One for all: the SDK asks for a new one at each activation of each run, whose serializer and cache are empty."""

    _one: ClassVar[Self | None] = None

    def __new__(cls) -> Self:
        """Always the same one."""
        if cls._one is None:
            cls._one = super().__new__(cls)
            PydanticPayloadConverter.__init__(cls._one)
        return cls._one

    def __init__(self) -> None:
        """It is made already."""


@dataclasses.dataclass(frozen=True)
class BoundDataConverter(DataConverter):
    """Bound to a workflow once; the SDK binds it thrice for each payload of a run, and making one is dear."""

    _bound: dict[Binding, Any] = dataclasses.field(default_factory=dict[Binding, Any], repr=False, compare=False)

    def with_context(self, context: SerializationContext) -> Self:
        """The same for one workflow's payloads."""
        binding = binding_of(context)
        if binding is None:
            return self
        found = self._bound.get(binding)
        if found is None:
            if len(self._bound) >= BOUND_AT_ONCE:
                self._bound.clear()
            found = self._bound[binding] = super().with_context(context)
        return found


def data_converter(key: bytes | None = None, old_keys: Sequence[bytes] = ()) -> DataConverter:
    """How every process of ours writes to Temporal and reads from it; encrypted where there is a key (contracts §11).

    What no key opens is refused by a sentence that names the missing setting.
    """
    return BoundDataConverter(
        payload_converter_class=SharedPayloadConverter,
        failure_converter_class=SentenceFailureConverter if key is None else EncodingFailureConverter,
        payload_codec=EncryptingCodec(key, old_keys),
    )


def _converter_of(settings: ProcessSettings) -> DataConverter:
    if isinstance(settings, PayloadEncryption):
        return data_converter(settings.codec_key, settings.codec_old_keys)
    return DATA_CONVERTER  # it sends no payload and reads none


DATA_CONVERTER: Final = data_converter()
"""Without a key."""


class NotConnected(Exception):
    """Temporal can't be used now: away, frozen, or its namespace isn't there yet; the text says which."""


async def connect(settings: ProcessSettings, *, lazy: bool = False, measured: bool = False) -> Client:
    """A client for the server and namespace of the environment; `lazy` connects at the first call.

    `measured`: what the SDK measures is buffered, and a `runtime.temporal_metrics.TemporalRelay` must take it out.

    Raises:
        NotConnected: the server doesn't answer, refuses, or its certificates can't be read.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await Client.connect(
                **settings.temporal.connect_config(),
                data_converter=_converter_of(settings),
                keep_alive_config=KEEP_ALIVE,
                lazy=lazy,
                runtime=_runtime(measured),
            )
    except TimeoutError:
        raise NotConnected("no answer in time") from None
    except (RuntimeError, OSError, ValueError) as error:  # what the SDK raises for transport, certificates, addresses
        raise NotConnected(_in_words(error)) from error


TLS_MISTAKES: Final = (
    (
        re.compile(r'message: \\?"transport error'),
        "it takes the connection and closes it: where it wants TLS or a certificate, set TEMPORAL_TLS_CLIENT_CERT_PATH",
    ),
    (
        re.compile(r"InvalidCertificate\((\w+)"),
        "its certificate is not trusted, {}: see TEMPORAL_TLS_SERVER_CA_CERT_PATH and TEMPORAL_TLS_SERVER_NAME",
    ),
    (re.compile("tls handshake eof|InvalidContentType"), "it does not speak TLS, and TEMPORAL_TLS says that it does"),
)
"""By what the SDK's transport says of each (seen with temporalio 1.35)."""


def _in_words(error: Exception) -> str:
    text = str(error)
    for shape, words in TLS_MISTAKES:
        if found := shape.search(text):
            return words.format(*found.groups())
    said = re.search(r'message: \\?"([^"\\]+)', text)
    return said[1].lower() if said else in_one_line(error)


async def wait_for_temporal(
    settings: ProcessSettings,
    stop: asyncio.Event,
    *,
    on_wait: Callable[[str], None] = lambda _sentence: None,
    measured: bool = False,
) -> Client:
    """A client whose server answers and whose namespace is there; waits for both as `wait_for` does.

    `measured` as `connect` has it.

    Raises:
        Stopped: `stop` was set first.
    """

    async def attempt() -> Client:
        client = await connect(settings, measured=measured)
        await _describe_namespace(client)
        return client

    return await wait_for(
        f"Temporal at {settings.temporal.address}", attempt, stop, attempt_seconds=CONNECT_SECONDS + 2, on_wait=on_wait
    )


async def check(client: Client) -> None:
    """Return if the server answers now; within `CHECK_SECONDS`, also where it is frozen.

    Raises:
        TimeoutError, RPCError: it does not.
    """
    call = client.workflow_service.get_system_info(
        GetSystemInfoRequest(), retry=False, timeout=timedelta(seconds=CHECK_SECONDS)
    )
    await asyncio.wait_for(call, CHECK_SECONDS + 0.5)


async def _describe_namespace(client: Client) -> None:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request, retry=False, timeout=timedelta(seconds=CHECK_SECONDS))
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise NotConnected(
                f"it has no namespace {client.namespace}: run `topup setup`, or set TEMPORAL_NAMESPACE"
            ) from None
        if error.status != RPCStatusCode.PERMISSION_DENIED:  # a key may be good for orders and not for this question
            raise


@functools.cache
def metric_buffer() -> MetricBuffer:
    """What the SDK has measured since it was last asked; for clients that were connected `measured`."""
    return MetricBuffer(BUFFERED_UPDATES, MetricBufferDurationFormat.SECONDS)


@functools.cache
def _runtime(measured: bool) -> Runtime:  # noqa: FBT001 - the cache's key
    """One per process: its own log lines come through `logging` (they would go to stdout), its metrics to a buffer."""
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
            ),
            metrics=metric_buffer() if measured else None,
            attach_service_name=False,
        )
    )
