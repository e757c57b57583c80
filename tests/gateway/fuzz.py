"""Mutated callbacks by the million, and the pace of good ones: `python -m tests.gateway.fuzz --count 1000000`.

None may be believed that says something else than what was signed, none may take long, memory stays flat. Exit code 1
where one of that does not hold. A reading is timed by the processor time that it takes, so that what else runs on the
machine counts for nothing.
"""

import argparse
import asyncio
import random
import resource
import statistics
import sys
import time
from array import array
from urllib.parse import parse_qsl

from adapters.payments.notifications import NotificationRefused
from tests.gateway.providers import NOW, Callback, alipay, alipay_form, event, payment, refund_event, trade, wechat
from tests.gateway.readers import ALIPAY_READER, WECHAT_READER
from tests.gateway.serving import gateway

SLOWEST_SECONDS = 0.05
GROWTH_KIB = 50 * 1024
SEEDS: tuple[Callback, ...] = (
    wechat(event(payment())),
    wechat(refund_event()),
    alipay(alipay_form(trade())),
    alipay(alipay_form(trade(gmt_refund="2023-08-21 18:40:00.123"))),
)
BYTES = b'&=%+"{}[]\\:,\n\r\t\x00\xff~0aA'


def mutated(callback: Callback, choose: random.Random) -> Callback:
    headers, body = dict(callback[0]), bytearray(callback[1])
    for _ in range(choose.choice((1, 1, 1, 2, 5))):
        at = choose.randrange(len(body) + 1)
        match choose.randrange(7):
            case 0 if at < len(body):
                body[at] ^= 1 << choose.randrange(8)
            case 1:
                body[at:at] = bytes([choose.choice(BYTES)])
            case 2:
                del body[at : at + choose.choice((1, 2, 50))]
            case 3:
                body[at:at] = body[at : at + choose.randrange(1, 200)]
            case 4:
                body[at:at] = bytes([choose.choice(BYTES)]) * choose.choice((10, 1000, 20_000))
            case 5:
                name = choose.choice(list(headers))
                value = headers[name]
                cut = choose.randrange(len(value) + 1)
                headers[name] = value[:cut] + choose.choice(("", "A", "=", " ", "0", value)) + value[cut + 1 :]
            case _:
                headers.pop(choose.choice(list(headers)), None)
                if not headers:
                    headers["x"] = "y"
    return headers, bytes(body[:65_536])


def same(seed: Callback, callback: Callback) -> bool:
    """Another spelling of the same signed members."""
    if "Wechatpay-Signature" in seed[0]:
        return callback[1] == seed[1]
    try:
        return sorted(parse_qsl(callback[1].decode(), True, True)) == sorted(parse_qsl(seed[1].decode(), True, True))
    except ValueError:
        return False


def fuzz(count: int, seed: int) -> bool:
    choose, seconds, accepted = random.Random(seed), array("d", bytes(8 * count)), 0
    began_at, kib = time.monotonic(), 0
    for number in range(count):
        chosen = choose.choice(SEEDS)
        headers, body = mutated(chosen, choose)
        reader = WECHAT_READER if "Wechatpay-Signature" in chosen[0] else ALIPAY_READER
        began = time.thread_time()
        try:
            reader.read([(name.lower(), value) for name, value in headers.items()], body, NOW)
        except NotificationRefused:
            pass
        else:
            accepted += 1
            if not same(chosen, (headers, body)):
                print(f"believed, and not what was signed: seed {seed}, number {number}", file=sys.stderr)
                return False
        seconds[number] = time.thread_time() - began
        if number == min(20_000, count // 2):
            kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if number % 100_000 == 99_999:
            print(f"{number + 1:,} in {time.monotonic() - began_at:.0f} s", flush=True)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - kib
    median, slowest = statistics.median(seconds), max(seconds)
    print(
        f"{count:,} mutated: {accepted:,} were another spelling of the same, none else believed; median "
        f"{median * 1e6:.0f} µs, slowest {slowest * 1e3:.1f} ms; memory grew by {growth} KiB"
    )
    return slowest < SLOWEST_SECONDS and growth < GROWTH_KIB


async def pace(count: int, connections: int) -> None:
    """Good callbacks over the wire, Kafka left out."""
    headers, body = SEEDS[0]
    lines = ["POST /callbacks/wechat HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*lines, f"Content-Length: {len(body)}"]).encode() + b"\r\n\r\n" + body
    seconds: list[float] = []
    async with gateway() as gate:

        async def client() -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            for _ in range(count // connections):
                began = time.perf_counter()
                writer.write(request)
                await reader.readuntil(b"\r\n\r\n")
                seconds.append(time.perf_counter() - began)
            writer.close()

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(connections)))
        took_seconds = time.perf_counter() - began
        assert gate.count("wechat", "order") == len(seconds)
    p99 = statistics.quantiles(seconds, n=100)[98]
    print(f"{len(seconds):,} callbacks, {connections} connections, client and gateway on one core: "
          f"{len(seconds) / took_seconds:.0f}/s, p99 {p99 * 1e3:.0f} ms")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--callbacks", type=int, default=5_000, help="good ones, for the pace")
    options = parser.parse_args()
    held = fuzz(options.count, options.seed)
    if options.callbacks:
        asyncio.run(pace(options.callbacks, 20))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
