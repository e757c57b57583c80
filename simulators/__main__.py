"""`python -m simulators carrier|wechat|alipay|vehicle|backend|hung-broker|all|keys`: start the outside world."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from simulators.alipay import Alipay
from simulators.arguments import SIMULATORS, parser
from simulators.backend import Backend, attach_key
from simulators.book import Book, BookTamperedError, BookUnusableError
from simulators.carrier import Carrier
from simulators.hung_broker import HungBroker
from simulators.keys import (
    AlipayKeys,
    KeysError,
    WechatKeys,
    alipay_keys,
    private_key,
    public_key,
    wechat_keys,
    write_keys,
)
from simulators.mqtt_listener import BrokerAddress, BrokerUrlError
from simulators.serving import Simulator, listen, serve, stop_signal
from simulators.vehicle import Vehicle
from simulators.wechat import Wechat
from simulators.wire import Pace

WRONG_USE = 2


class UsageError(Exception):
    """The command line asks for what can't be; the text says what to write."""


def main(argv: Sequence[str] | None = None) -> int:
    """Start what the arguments ask for; returns the exit code: 0 after a signal, 2 for wrong use."""
    options = parser().parse_args(argv)
    try:
        if options.what == "keys":
            sys.stdout.write(f"{write_keys(options.out)}\n")
            return 0
        return asyncio.run(_run(options))
    except (UsageError, KeysError, BookUnusableError, BookTamperedError, BrokerUrlError) as error:
        sys.stderr.write(f"simulators: {error}\n")
        return WRONG_USE


async def _run(options: argparse.Namespace) -> int:
    stop = stop_signal()
    with_hung_broker = options.what == "hung-broker" or getattr(options, "hung_broker", False)
    names = SIMULATORS if options.what == "all" else [name for name in SIMULATORS if name == options.what]
    simulators = [(_make(name, options), _socket(options, name)) for name in names]
    runs = [serve(simulator, sock, stop) for simulator, sock in simulators]
    if with_hung_broker:
        runs.append(HungBroker().serve(_socket(options, "hung-broker"), stop))
    try:
        await asyncio.gather(*runs)
    finally:
        stop.set()
    return 0


def _socket(options: argparse.Namespace, name: str) -> socket.socket:
    port = getattr(options, f"{name.replace('-', '_')}_port", None)
    port = options.port if port is None else port
    try:
        return listen(options.host, port)
    except OSError as error:
        raise UsageError(
            f"can't listen on {options.host}:{port} ({error.strerror}); choose another --port, 0 takes any that is free"
        ) from error


def _make(name: str, options: argparse.Namespace) -> Simulator:
    book_path: Path | None = options.book
    if book_path is not None and options.what == "all":
        book_path = book_path / f"{name}.jsonl"
    book, pace = Book(book_path, fsync=not options.no_fsync), Pace(options.time_scale)
    make: dict[str, Callable[[], Simulator]] = {
        "carrier": lambda: Carrier(book, pace, options.token),
        "wechat": lambda: Wechat(
            book,
            pace,
            _wechat_keys(options),
            settle_seconds=options.settle_seconds,
            accept_unknown_payments=options.accept_unknown_payments,
        ),
        "alipay": lambda: Alipay(
            book,
            pace,
            _alipay_keys(options),
            settle_seconds=options.alipay_settle_seconds,
            accept_unknown_payments=options.accept_unknown_payments,
        ),
        "vehicle": lambda: Vehicle(
            book,
            pace,
            brokers=_brokers(options),
            topic=options.topic,
            client_id=options.client_id,
            default_version=options.mqtt_version,
        ),
        "backend": lambda: Backend(
            book, pace, options.backend_token, attach_key(options.attach_key) if options.attach_key else None
        ),
    }
    return make[name]()


def _wechat_keys(options: argparse.Namespace) -> WechatKeys:
    if options.keys is not None:
        return wechat_keys(options.keys)
    if options.what == "all" or not (options.merchant_public_key and options.platform_private_key):
        raise UsageError("give --keys DIR (made by `python -m simulators keys --out DIR`), or each key by itself")
    return WechatKeys(
        merchant_id=options.mchid,
        merchant_serial_no=options.serial_no,
        merchant_public_key=public_key(options.merchant_public_key),
        platform_private_key=private_key(options.platform_private_key),
        platform_public_key_id=options.public_key_id,
        api_v3_key=options.api_v3_key,
    )


def _alipay_keys(options: argparse.Namespace) -> AlipayKeys:
    if options.keys is not None:
        return alipay_keys(options.keys)
    if options.what == "all" or not (options.app_public_key and options.platform_private_key):
        raise UsageError("give --keys DIR (made by `python -m simulators keys --out DIR`), or each key by itself")
    return AlipayKeys(
        app_id=options.app_id,
        seller_id=options.seller_id,
        app_public_key=public_key(options.app_public_key),
        platform_private_key=private_key(options.platform_private_key),
    )


def _brokers(options: argparse.Namespace) -> list[BrokerAddress]:
    pairs = [text.partition("=") for text in options.broker]
    return [BrokerAddress.parse(name, url, options.mqtt_version) for name, _, url in pairs]


if __name__ == "__main__":
    sys.exit(main())
