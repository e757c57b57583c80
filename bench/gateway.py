"""The gateway on two cores: callbacks/s with signatures checked, and how soon a good one is answered among bad clients.

`python -m bench.gateway --callbacks 20000 --idle 10000`. Apache Kafka and `topup gateway` run on the pinned cores; the
client that signs and sends runs on others, where there are any. First good callbacks as fast as they are answered, half
of them of WeChat Pay, half of Alipay, over connections that stay open. Then good ones, some each second on new
connections, while others are idle, half-open (a head that never ends) or slow (a byte now and then). Prints one line of
JSON; exit code 1 where a good callback was not answered as stored within 5 s.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import resource
import secrets
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.durable import SteadyKafka
from bench.machine import choose_cores, cpu_seconds, describe, driver_cores, memory, on_cores
from devkit.product import product_process
from devkit.servers.process import FOREIGN, Program, free_port, temporary_folder, watchdog
from orders.attachment import Purchase, make_attachment
from orders.paid_order import Vehicle
from runtime.exits import EXIT_FAILED, EXIT_OK, exit_now
from simulators import alipay_notices, wechat_notices
from simulators.book import now_utc, rfc3339
from simulators.keys import alipay_keys, wechat_keys, write_keys
from simulators.notices import Message
from simulators.refunds import Payment

PRICE_FEN: Final = 9900
CAR: Final = Purchase(Vehicle(vin="LSGBC5342AG000001", iccid="89860321247550000015"), "CT-DATA-10GB-30D")
ANSWER_SECONDS: Final = 5.0
GOOD_PER_SECOND: Final = 20
DRIP_SECONDS: Final = 1.0
COMES_AGAIN_SECONDS: Final = 30.0
FILES_BESIDES: Final = 500
STORED: Final = (b"HTTP/1.1 204", b"HTTP/1.1 200")


@dataclass(slots=True)
class Answers:
    """How long good callbacks took; those that were not stored in time."""

    seconds: list[float] = field(default_factory=list[float])
    failed: int = 0

    def figures(self) -> dict[str, Any]:
        """Milliseconds."""
        percentiles = statistics.quantiles(self.seconds, n=100) if len(self.seconds) > 1 else [0.0] * 99
        return {
            "answered": len(self.seconds),
            "failed": self.failed,
            "p50_ms": round(percentiles[49] * 1000, 1),
            "p99_ms": round(percentiles[98] * 1000, 1),
            "max_ms": round(max(self.seconds, default=0) * 1000, 1),
        }


class Customers:
    """Makes good callbacks, as the simulated providers sign them."""

    def __init__(self, keys: Path, attach_key: bytes) -> None:
        self._wechat, self._alipay = wechat_keys(keys), alipay_keys(keys)
        self._attach_key = attach_key
        self._made = 0

    def requests(self, count: int) -> list[bytes]:
        """Whole HTTP requests, of both providers in turn, each of a payment of its own."""
        return [self._request() for _ in range(count)]

    def _request(self) -> bytes:
        self._made += 1
        number = f"T{self._made:010d}"
        attach = make_attachment(self._attach_key, CAR, out_trade_no=number, amount_fen=PRICE_FEN)
        payment, now = Payment(f"42{number}", number, PRICE_FEN), rfc3339(now_utc())
        if self._made % 2:
            content = wechat_notices.payment_content(payment, self._wechat, paid_at=now, attach=attach)
            make = wechat_notices.notice(
                self._wechat, content, event_type="TRANSACTION.SUCCESS", original_type="transaction"
            )
            return _http("wechat", make(None))
        members = alipay_notices.payment_members(payment, self._alipay, paid_at=now, attach=attach)
        return _http("alipay", alipay_notices.notice(self._alipay, members)(None))


def _http(provider: str, message: Message) -> bytes:
    lines = [f"POST /callbacks/{provider} HTTP/1.1", "Host: gateway"]
    lines += [f"{name}: {value}" for name, value in message.headers.items()]
    lines.append(f"Content-Length: {len(message.body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + message.body


async def pace(port: int, requests: Sequence[bytes], connections: int) -> Answers:
    """All of them, as fast as they are answered."""
    answers = Answers()

    async def client(mine: Sequence[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in mine:
            await _ask(reader, writer, request, answers)
        writer.close()

    await asyncio.gather(*(client(requests[number::connections]) for number in range(connections)))
    return answers


async def among_bad_clients(port: int, requests: Sequence[bytes], idle: int, slow: int) -> Answers:
    """Some each second on new connections, while others hold theirs."""
    answers = Answers()
    async with _bad_clients(port, idle, slow):
        for request in requests:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    await _ask(reader, writer, request, answers)
                    writer.close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                answers.failed += 1
            await asyncio.sleep(1 / GOOD_PER_SECOND)
    return answers


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, answers: Answers) -> None:
    began = time.perf_counter()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if b"success" not in head and head.startswith(STORED[1]):
        await reader.readexactly(len(b"success"))
    answers.seconds.append(time.perf_counter() - began)
    if not head.startswith(STORED) or answers.seconds[-1] > ANSWER_SECONDS:
        answers.failed += 1


@contextlib.asynccontextmanager
async def _bad_clients(port: int, idle: int, slow: int) -> AsyncGenerator[None]:
    """`idle` that say nothing, and `slow` each of half-open and of dripping ones; whoever is let go comes again."""

    async def hold(first: bytes, drip: bytes) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(first)
                while drip and not writer.is_closing():
                    writer.write(drip)
                    await asyncio.sleep(DRIP_SECONDS)
                await reader.read()
                writer.close()
            except OSError:
                pass
            await asyncio.sleep(COMES_AGAIN_SECONDS)

    kinds = [(idle, b"", b""), (slow, b"POST /callbacks/wechat HTTP/1.1\r\nHost: x\r\n", b"")]
    kinds.append((slow, b"POST /callbacks/wechat HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b"x"))
    tasks = [asyncio.create_task(hold(first, drip)) for count, first, drip in kinds for _ in range(count)]
    try:
        await asyncio.sleep(DRIP_SECONDS * 3)  # all of them have come
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _room_for(connections: int) -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, connections + FILES_BESIDES), hard), hard))
    yield


async def measure(options: argparse.Namespace, gateway: Program, port: int, customers: Customers) -> dict[str, Any]:
    """Both measurements."""
    await pace(port, customers.requests(options.warm_up), options.connections)
    requests = customers.requests(options.callbacks)
    cpu, began = cpu_seconds(gateway.pid), time.perf_counter()
    answers = await pace(port, requests, options.connections)
    took_seconds, cpu = time.perf_counter() - began, cpu_seconds(gateway.pid) - cpu
    good = customers.requests(options.good)
    with _room_for(options.idle + 2 * options.slow):
        disturbed = await among_bad_clients(port, good, options.idle, options.slow)
    return {
        "callbacks_per_second": round(options.callbacks / took_seconds),
        "gateway_cpu_ms_per_callback": round(cpu / options.callbacks * 1000, 2),
        "at_full_pace": answers.figures(),
        f"among_{options.idle}_idle_and_{2 * options.slow}_slow": disturbed.figures(),
        "gateway_rss_mib": memory(gateway.pid).rss_kib // 1024,
    }


def main() -> None:
    """Start Kafka and gateway, measure, end them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callbacks", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=50, help="at full pace")
    parser.add_argument("--warm-up", type=int, default=500)
    parser.add_argument(
        "--good", type=int, default=400, help=f"callbacks among bad clients, {GOOD_PER_SECOND} a second"
    )
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=200, help="half-open ones, and as many that drip")
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    cores = choose_cores(options.cores)
    os.sched_setaffinity(0, driver_cores(cores))
    folder = temporary_folder("bench-gateway")
    attach_key = secrets.token_bytes(32)
    settings = json.loads(write_keys(folder / "keys").read_text())
    base = {name: value for name, value in os.environ.items() if not name.startswith((*FOREIGN, "OTEL_"))}
    port = free_port()
    with on_cores(cores):
        kafka = SteadyKafka().start()
    try:
        kafka.create_topic("topup.paid-orders", 12)
        kafka.create_topic("topup.payments.unmatched", 1)
        environ = base | {
            **settings,
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "TOPUP_ATTACH_KEY": base64.b64encode(attach_key).decode(),
            "TOPUP_RECORD_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "TOPUP_CALLBACK_PORT": str(port),
        }
        gateway = product_process("gateway", environ, free_port(), folder=folder)
        with on_cores(cores):
            gateway.start()
        try:
            figures = asyncio.run(measure(options, gateway, port, Customers(folder / "keys", attach_key)))
        finally:
            gateway.close()
    finally:
        kafka.close()
    sys.stdout.write(json.dumps({**describe(cores, folder), **figures}) + "\n")
    sys.stdout.flush()
    failed = any(part["failed"] for part in figures.values() if isinstance(part, dict))
    watchdog.close()
    exit_now(EXIT_FAILED if failed else EXIT_OK)


if __name__ == "__main__":
    main()
