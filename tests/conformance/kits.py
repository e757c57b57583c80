"""What a suite needs to know of a provider or dialect besides its package: its simulator, and its words for a fault."""

import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.payment_simulator import start_provider
from tests.simulators.processes import ROOT, SimulatorProcess, start


@dataclass(frozen=True)
class RunningProvider:
    """A simulated provider, and the product's variables for it."""

    process: SimulatorProcess
    url: str
    environ: Mapping[str, str]


@dataclass(frozen=True)
class ProviderKit:
    """One provider.

    Attributes:
        url_variable: where it is asked; `path` comes after the simulator's address.
        merchant_variable: whose payments it refunds.
        refusals: faults by which it refuses a refund for good.
        unknown_while_under_way: whether a query knows a refund only once it is done.
    """

    name: str
    url_variable: str
    merchant_variable: str
    path: str = ""
    refusals: tuple[Mapping[str, object], ...] = ({"kind": "refuse"},)
    unknown_while_under_way: bool = False
    arguments: tuple[str, ...] = ()

    def start(self, folder: Path) -> RunningProvider:
        started = start_provider(self.name, folder, *self.arguments)
        return RunningProvider(
            started.process, started.url, started.settings | {self.url_variable: started.url + self.path}
        )


class ThirdpayKit(ProviderKit):
    """The provider that only these tests have: its simulator is a process of theirs."""

    def start(self, folder: Path) -> RunningProvider:
        key = secrets.token_hex(16)
        command = [sys.executable, "-m", "tests.conformance.thirdpay.simulator", key]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        running = SimulatorProcess(process, {})
        running.read_announcement()
        url = running.url(self.name)
        variables = {"TOPUP_THIRDPAY_URL": url, "TOPUP_THIRDPAY_SHOP": "shop-7", "TOPUP_THIRDPAY_KEY": key}
        return RunningProvider(running, url, variables)


PROVIDER_KITS = {
    kit.name: kit
    for kit in (
        ProviderKit(
            "wechat",
            url_variable="TOPUP_WECHAT_URL",
            merchant_variable="TOPUP_WECHAT_MCHID",
            refusals=(
                {"kind": "user_account_abnormal"},
                {"kind": "refuse", "status": 403, "code": "NO_AUTH"},
                {"kind": "refuse", "status": 400, "code": "INVALID_REQUEST"},
            ),
            arguments=("--settle-seconds", "4"),
        ),
        ProviderKit(
            "alipay",
            url_variable="TOPUP_ALIPAY_URL",
            merchant_variable="TOPUP_ALIPAY_SELLER_ID",
            path="/gateway.do",
            refusals=(
                {"kind": "refuse", "sub_code": "ACQ.TRADE_HAS_FINISHED"},
                {"kind": "refuse", "sub_code": "ACQ.REASON_TRADE_BEEN_FREEZEN"},
            ),
            unknown_while_under_way=True,
        ),
        ThirdpayKit("thirdpay", url_variable="TOPUP_THIRDPAY_URL", merchant_variable="TOPUP_THIRDPAY_SHOP"),
    )
}


@dataclass(frozen=True)
class DialectKit:
    """One dialect, spoken by the simulated carrier.

    Attributes:
        refusal: a fault by which the carrier refuses for good.
        not_its_bodies: bodies of other dialects.
        by_card: whether the carrier knows an order by its card, for want of a serial.
        shows_unknown: what an unknown state leaves.
    """

    name: str
    refusal: Mapping[str, object]
    not_its_bodies: tuple[bytes, ...]
    by_card: bool = False
    shows_unknown: str = "unknown_state"
    more: Mapping[str, str] = field(default_factory=dict[str, str])


DIALECT_KITS = {
    kit.name: kit
    for kit in (
        DialectKit(
            "tmf622",
            refusal={"kind": "refuse", "code": "SIM_SUSPENDED"},
            not_its_bodies=(b"iccid=89860321247550000015&packageId=P", b"{}", b""),
        ),
        DialectKit(
            "flat",
            refusal={"kind": "receipt", "code": "10000", "act": False},
            not_its_bodies=(b'{"externalId": "T20230821183406000001"}', b""),
            by_card=True,
            shows_unknown="answered",
        ),
    )
}


def start_carrier(folder: Path, token: str) -> SimulatorProcess:
    """The simulated carrier, which speaks every dialect."""
    return start("carrier", "--book", folder / "carrier.jsonl", "--time-scale", "0.05", "--token", token)
