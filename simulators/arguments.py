"""The command line of the simulators."""

from __future__ import annotations

import argparse
from pathlib import Path

from simulators.mqtt_listener import VERSIONS

MAX_PORT = 65_535
MAX_SECONDS = 30 * 86_400
SIMULATORS = ("carrier", "wechat", "alipay", "vehicle", "backend")


def parser() -> argparse.ArgumentParser:
    """The command line of `python -m simulators`."""
    whole = argparse.ArgumentParser(prog="python -m simulators", description="The outside world of topup, on the wire.")
    commands = whole.add_subparsers(dest="what", required=True, metavar="COMMAND")

    def command(name: str, summary: str, example: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example: python -m simulators {example}",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )

    carrier = command("carrier", "the telecom carrier (TMF622 profile)", "carrier --port 9001 --book carrier.jsonl")
    _add_common(carrier)
    _add_carrier(carrier)
    wechat = command("wechat", "WeChat Pay API v3 refunds", "wechat --keys keys --book wechat.jsonl")
    _add_common(wechat)
    _add_payments(wechat)
    _add_wechat(wechat)
    alipay = command("alipay", "Alipay OpenAPI refunds", "alipay --keys keys --book alipay.jsonl")
    _add_common(alipay)
    _add_payments(alipay)
    _add_alipay(alipay)
    vehicle = command("vehicle", "the cars at their MQTT brokers", "vehicle --broker new=mqtt://127.0.0.1:1883")
    _add_common(vehicle)
    _add_vehicle(vehicle)
    backend = command(
        "backend", "the order backend, which says what a payment has bought", "backend --port 9005 --attach-key FILE"
    )
    _add_common(backend)
    _add_backend(backend)
    hung = command("hung-broker", "an MQTT broker that hangs: accepts and never answers", "hung-broker --port 1884")
    _add_address(hung)
    everything = command(
        "all",
        "carrier, wechat, alipay, vehicle and backend in one process; --book is a folder",
        "all --keys keys --book books --broker new=mqtt://127.0.0.1:1883 --hung-broker --time-scale 0.05",
    )
    _add_common(everything)
    _add_carrier(everything)
    _add_payments(everything)
    _add_alipay_pace(everything)
    _add_vehicle(everything)
    _add_backend(everything)
    everything.add_argument("--hung-broker", action="store_true", help="also an MQTT broker that hangs")
    for name in (*SIMULATORS, "hung-broker"):
        everything.add_argument(f"--{name}-port", type=_port, help=f"port of the {name}; --port where not given")
    keys = command(
        "keys", "make the keys of both sides and the product's settings, or keep those there", "keys --out keys"
    )
    keys.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the PEM files and settings.json"
    )
    return whole


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=_port, default=0, help="0 = any that is free; the first line on stdout tells it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")


def _add_common(parser: argparse.ArgumentParser) -> None:
    _add_address(parser)
    parser.add_argument("--book", type=Path, metavar="PATH", help="the book; without it, it is kept in memory only")
    parser.add_argument("--no-fsync", action="store_true", help="write the book without waiting for the disk")
    parser.add_argument("--time-scale", type=_time_scale, default=1.0, help="multiplies all delays of the simulator")


def _add_carrier(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--token", default="carrier-token", help="the bearer token that the carrier wants")


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend-token", default="backend-token", help="the bearer token that a lookup needs")
    parser.add_argument("--attach-key", type=Path, metavar="FILE", help="32 bytes in base64; signs attachments")


def _add_payments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--keys", type=Path, metavar="DIR", help="folder made by `keys`; replaces the single keys")
    parser.add_argument("--accept-unknown-payments", action="store_true", help="take any payment as made")
    parser.add_argument("--settle-seconds", type=_seconds, default=1.0, help="WeChat: PROCESSING for so long, unscaled")


def _add_wechat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--merchant-public-key", type=Path, metavar="FILE", help="PEM; verifies requests")
    parser.add_argument("--platform-private-key", type=Path, metavar="FILE", help="PEM; signs answers")
    parser.add_argument("--mchid", default="1900000109", help="the merchant")
    parser.add_argument("--serial-no", default="1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C", help="of the merchant's key")
    parser.add_argument("--public-key-id", default="PUB_KEY_ID_0000000000000000000000000001", help="of the platform")
    parser.add_argument(
        "--api-v3-key", default="simulated-api-v3-key-0123456789a", help="32 characters; encrypts notifications"
    )


def _add_alipay(parser: argparse.ArgumentParser) -> None:
    _add_alipay_pace(parser)
    parser.add_argument("--app-public-key", type=Path, metavar="FILE", help="PEM; verifies requests")
    parser.add_argument("--platform-private-key", type=Path, metavar="FILE", help="PEM; signs answers")
    parser.add_argument("--app-id", default="2021000000000001", help="the app")
    parser.add_argument("--seller-id", default="2088000000000001", help="the seller")


def _add_alipay_pace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--alipay-settle-seconds", type=_seconds, default=0.0, help="Alipay: until the money has moved")


def _add_vehicle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broker", action="append", default=[], metavar="NAME=URL", help="a broker; may be repeated")
    parser.add_argument("--topic", default="vehicles/+/topup", help="the topic filter")
    parser.add_argument("--mqtt-version", choices=list(VERSIONS), default="5", help="where the URL has no ?version=")
    parser.add_argument("--client-id", help="keeps the session at the broker; without it each start is a new one")


def _time_scale(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError("is above 0 and at most 1, e.g. 0.05")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"is 0 to {MAX_PORT}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"is 0 to {MAX_SECONDS}")
    return value
