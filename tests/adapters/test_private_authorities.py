"""Whoever is asked over HTTPS may have a certificate of a private authority: its file is trusted, and nobody else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.push.message import Message, Told
from configuration.processes import DoctorSettings, WorkerSettings
from console import health
from gateway.lookup import OrderLookup
from orders.errors import Unavailable
from orders.outcomes import RefundRequest
from runtime.clock import SystemClock
from runtime.settings import load
from runtime.settings.groups import Purchases
from tests.adapters.book_process import paid_order
from tests.certificates import Certificates, make_certificates
from tests.limits import WAIT_SECONDS
from tests.runtime import environments
from workers import composition


def refund(merchant_id: str) -> RefundRequest:
    return RefundRequest(
        refund_number="RT000001",
        transaction_id="4200001",
        out_trade_no="T000001",
        merchant_id=merchant_id,
        amount_fen=9900,
        total_fen=9900,
        currency="CNY",
        reason="",
    )


@dataclass
class Server:
    """Over TLS, it has nothing for anybody."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
async def server(certificates: Certificates) -> AsyncIterator[Server]:
    made, tls = Server(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificates.server)
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls) as listening:
        made.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield made


def worker(changes: dict[str, str]) -> WorkerSettings:
    return load({**environments.worker(), **changes}, WorkerSettings)


async def ask_carrier(changes: dict[str, str]) -> None:
    async with worker(changes).carrier.open() as carrier:
        body = carrier.order_body(paid_order("T000001"), SystemClock().now())
        await carrier.submit(body, timeout_seconds=WAIT_SECONDS)


async def ask_flat_carrier(changes: dict[str, str]) -> None:
    await ask_carrier({**changes, "TOPUP_CARRIER_DIALECT": "flat"})


async def ask_wechat(changes: dict[str, str]) -> None:
    async with worker(changes).payments["wechat"].open() as wechat:
        await wechat.refund(refund("1900000109"), timeout_seconds=WAIT_SECONDS)


async def ask_alipay(changes: dict[str, str]) -> None:
    async with worker(changes).payments["alipay"].open() as alipay:
        await alipay.refund(refund("2088102146225135"), timeout_seconds=WAIT_SECONDS)


async def ask_webhook(changes: dict[str, str]) -> None:
    async with AsyncExitStack() as stack:
        push = await composition._pushing(stack, worker(changes), SystemClock())
        assert push is not None
        await push.send(Message([Told("T000001", "", "parked", "")]))


async def ask_order_backend(changes: dict[str, str]) -> None:
    settings = Purchases.model_validate({name.removeprefix("TOPUP_").lower(): text for name, text in changes.items()})
    assert settings.order_lookup_url is not None
    lookup = OrderLookup(settings.order_lookup_url, "", cafile=settings.order_lookup_cafile)
    try:
        await lookup.find("T000001")
    except Unavailable:
        pass
    finally:
        await lookup.close()


ASKED = [
    (ask_carrier, "TOPUP_CARRIER_"),
    (ask_flat_carrier, "TOPUP_CARRIER_"),
    (ask_wechat, "TOPUP_WECHAT_"),
    (ask_alipay, "TOPUP_ALIPAY_"),
    (ask_webhook, "TOPUP_PUSH_"),
    (ask_order_backend, "TOPUP_ORDER_LOOKUP_"),
]


@pytest.mark.parametrize(("ask", "prefix"), ASKED)
async def test_only_the_file_of_its_authority_has_it_asked(
    ask: Callable[[dict[str, str]], Awaitable[None]],
    prefix: str,
    server: Server,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)  # the environment makes nobody trusted
    url = {f"{prefix}URL": server.url}
    await ask(url)
    await ask({**url, f"{prefix}CAFILE": certificates.other_authority})
    assert server.requests == []
    await ask({**url, f"{prefix}CAFILE": certificates.authority})
    assert len(server.requests) == 1


async def test_an_authority_without_key_identifiers_is_trusted_where_python_checks_strictly(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
):
    create = ssl.create_default_context

    def as_of_python_3_13(*arguments: str, cafile: str | None = None) -> ssl.SSLContext:
        context = create(*arguments, cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_of_python_3_13)
    await ask_carrier({"TOPUP_CARRIER_URL": server.url, "TOPUP_CARRIER_CAFILE": certificates.authority})
    assert len(server.requests) == 1


async def test_doctor_trusts_whom_the_worker_trusts_and_names_the_variable(
    server: Server, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
):
    async def said(changes: dict[str, str]) -> dict[str, str]:
        settings = load({**environments.worker(), **changes, "TOPUP_MQTT_BROKERS": ""}, DoctorSettings)
        return {step.part: step.says for step in await health._world_steps(settings)}

    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
    urls = {"TOPUP_CARRIER_URL": server.url, "TOPUP_WECHAT_URL": server.url}
    for part, says in (await said(urls)).items():
        if part in ("carrier", "wechat"):
            assert "certificate is not trusted" in says
            assert says.endswith(f"see TOPUP_{part.upper()}_CAFILE.")
    files = {"TOPUP_CARRIER_CAFILE": certificates.authority, "TOPUP_WECHAT_CAFILE": certificates.authority}
    steps = await said({**urls, **files})
    assert "(HTTP 404)" in steps["carrier"]
    assert "(HTTP 404)" in steps["wechat"]
