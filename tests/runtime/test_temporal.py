import asyncio
import socket

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from configuration.processes import BridgeSettings
from devkit.servers.temporal import Temporal
from orders.errors import Unavailable
from runtime import temporal as module
from runtime.settings import load
from runtime.temporal import DATA_CONVERTER, NotConnected, check, connect, wait_for_temporal
from runtime.waiting import Stopped
from tests.runtime import environments


def settings(address: str, namespace: str = "default") -> BridgeSettings:
    temporal = {"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": namespace}
    return load({**environments.bridge(), **temporal}, BridgeSettings)


async def failure(converter: DataConverter, error: BaseException) -> Failure:
    made = Failure()
    await converter.encode_failure(error, made)
    return made


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The error with a traceback, as one that was raised."""
    try:
        try:
            raise cause or KeyError
        except type(cause or KeyError()) as inner:
            raise error from (inner if cause else None)
    except type(error) as outer:
        return outer


@pytest.mark.parametrize("error", [ApplicationError("Carrier is away.", type="Away"), Unavailable("Database is away.")])
async def test_errors_of_our_own_carry_no_stack_trace_and_neither_do_their_causes(error):
    made = await failure(DATA_CONVERTER, raised(error, OSError("connection refused")))
    assert made.message == str(error).removeprefix("Away: ")
    assert made.stack_trace == ""
    assert (made.cause.message, made.cause.stack_trace) == ("connection refused", "")
    assert made.application_failure_info.type in ("Away", "Unavailable")


async def test_a_trace_that_nobody_is_shown_is_not_even_formatted_and_stays_for_the_log(
    monkeypatch: pytest.MonkeyPatch,
):
    def formatted(*_: object) -> list[str]:
        raise AssertionError("each frame costs a look at its source file")

    monkeypatch.setattr("traceback.format_tb", formatted)
    error = raised(ApplicationError("Carrier is away."), OSError("connection refused"))
    await failure(DATA_CONVERTER, error)
    assert error.__traceback__ is not None
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is not None


async def test_a_bug_keeps_its_stack_trace():
    made = await failure(DATA_CONVERTER, raised(ZeroDivisionError("bug"), OSError("below")))
    assert "in raised" in made.stack_trace
    assert "in raised" in made.cause.stack_trace


async def test_payloads_are_pydantic_s(temporal_server: Temporal):
    client = await connect(settings(temporal_server.address))
    assert client.data_converter.payload_converter_class is DATA_CONVERTER.payload_converter_class
    assert client.data_converter.failure_converter_class is DATA_CONVERTER.failure_converter_class


async def test_a_server_that_is_there_is_connected_to_and_answers_the_check(temporal_server: Temporal):
    client = await wait_for_temporal(settings(temporal_server.address), asyncio.Event())
    assert isinstance(client, Client)
    await check(client)


async def test_a_missing_namespace_is_waited_for_and_the_sentence_says_what_to_run(temporal_server: Temporal):
    stop = asyncio.Event()
    said: list[str] = []

    def on_wait(sentence: str) -> None:
        said.append(sentence)
        stop.set()

    with pytest.raises(Stopped):
        await wait_for_temporal(settings(temporal_server.address, "nowhere"), stop, on_wait=on_wait)
    assert "no namespace nowhere" in said[0]
    assert "topup setup" in said[0]


async def test_nobody_there_is_told_at_once_in_words():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotConnected, match=r"^connection refused$"):
        await connect(settings(f"127.0.0.1:{port}"))


async def test_a_server_that_hangs_up_is_told_with_the_settings_that_may_be_missing():
    """As one that wants TLS or a certificate does at one that has none."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotConnected, match=r"closes it: where it wants TLS.*TEMPORAL_TLS_CLIENT_CERT_PATH"):
            await connect(settings(f"127.0.0.1:{port}"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("error: InvalidCertificate(UnknownIssuer) }))", "is not trusted, UnknownIssuer: see TEMPORAL_TLS_SERVER_CA"),
        ("InvalidCertificate(NotValidForNameContext { expected", "NotValidForNameContext: .*TEMPORAL_TLS_SERVER_NAME"),
        ('Custom { kind: UnexpectedEof, error: "tls handshake eof" }', "it does not speak TLS, and TEMPORAL_TLS says"),
    ],
)
async def test_a_mistake_in_tls_names_the_setting(said: str, told: str, monkeypatch: pytest.MonkeyPatch):
    async def refused(**_: object) -> Client:
        raise RuntimeError(f"Failed client connect: Server connection error: tonic::transport::Error({said}")

    monkeypatch.setattr(Client, "connect", refused)
    with pytest.raises(NotConnected, match=told):
        await connect(settings("127.0.0.1:1"))


async def test_a_frozen_server_is_noticed_at_connect_and_by_the_check(monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NotConnected, match="no answer in time"):
            await connect(settings(address))  # without a limit it would be for ever
        client = await connect(settings(address), lazy=True)
        with pytest.raises((TimeoutError, RPCError)):
            await check(client)
