"""Keys that are weak, swapped or another's are refused, and no secret is ever shown."""

import base64
from pathlib import Path

import pytest

from configuration.processes import BridgeSettings, DoctorSettings, WorkerSettings
from runtime.settings import load
from tests.configuration.faults import faults, only_fault
from tests.runtime import environments

SECRETS = ("hunter2secret", "mqtt5ecret", "carrier-token-5ecret", environments.PII_KEY, "0123456789abcdef", "BEGIN")


def test_the_faults_of_all_providers_are_told_together():
    environ = {**environments.worker(), "TOPUP_WECHAT_PUBLIC_KEY": "x", "TOPUP_ALIPAY_PUBLIC_KEY": "y"}
    assert {fault.split()[0] for fault in faults(environ, WorkerSettings)} == {
        "TOPUP_WECHAT_PUBLIC_KEY",
        "TOPUP_ALIPAY_PUBLIC_KEY",
    }


def test_a_public_key_is_no_private_key_and_a_short_key_is_none():
    private, public = environments.key_pair()
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": public, "TOPUP_ALIPAY_PUBLIC_KEY": private}
    assert {fault.split()[0] for fault in faults(environ, WorkerSettings)} == {
        "TOPUP_ALIPAY_PRIVATE_KEY",
        "TOPUP_ALIPAY_PUBLIC_KEY",
    }
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": environments.key_pair(1024)[0]}
    assert "2048 bits" in only_fault(environ, WorkerSettings)


@pytest.mark.parametrize("provider", ["WECHAT", "ALIPAY"])
def test_our_own_key_is_not_the_providers(provider: str):
    private, public = environments.key_pair()
    names = (f"TOPUP_{provider}_PRIVATE_KEY", f"TOPUP_{provider}_PUBLIC_KEY")
    environ = {**environments.worker(), **dict(zip(names, (private, public), strict=True))}
    fault = only_fault(environ, WorkerSettings)
    assert fault.startswith(f"{names[1]} is the public half of our own private key")


def test_a_key_of_zeros_is_none():
    weak = base64.b64encode(bytes(32)).decode()
    for name in ("TOPUP_PII_KEY", "TOPUP_PII_OLD_KEYS", "TOPUP_RECORD_KEY"):
        assert "32 zero bytes" in only_fault({**environments.bridge(), name: weak}, BridgeSettings)


def test_an_api_v3_key_of_zeros_is_none():
    environ = {**environments.wechat(), "TOPUP_WECHAT_API_V3_KEY": "0" * 32}
    assert "32 zeros" in only_fault(environ, DoctorSettings)


def test_a_pem_may_come_on_one_line_with_line_breaks_written_out():
    private, _ = environments.key_pair()
    environ = {**environments.worker(), "TOPUP_ALIPAY_PRIVATE_KEY": private.replace("\n", "\\n")}
    assert getattr(load(environ, WorkerSettings).payments["alipay"], "private_key", "") == private


def test_no_secret_is_in_the_repr():
    shown = repr(load({**environments.worker(), **environments.bridge()}, WorkerSettings))
    for secret in SECRETS:
        assert secret not in shown


def test_old_keys_come_in_any_number_each_once_and_from_a_file_too(tmp_path: Path):
    first, second = (base64.b64encode(bytes(range(number, number + 32))).decode() for number in (1, 2))
    assert load(environments.bridge(), BridgeSettings).pii_old_keys == ()

    settings = load(environments.bridge() | {"TOPUP_PII_OLD_KEYS": f"{first}, {second},{first}"}, BridgeSettings)
    assert settings.pii_old_keys == (bytes(range(1, 33)), bytes(range(2, 34)))
    assert settings.pii_keys == (settings.pii_key, *settings.pii_old_keys)

    path = tmp_path / "old_keys"
    path.write_text(f"{first}\n")
    settings = load(environments.bridge() | {"TOPUP_PII_OLD_KEYS_FILE": str(path)}, BridgeSettings)
    assert settings.pii_old_keys == (bytes(range(1, 33)),)
    assert first not in repr(settings)


@pytest.mark.parametrize("text", ["x", "QUJD", ",", f"{environments.PII_KEY};{environments.PII_KEY}"])
def test_an_old_key_that_is_none_is_a_fault_and_never_shown(text: str):
    sentence = only_fault(environments.bridge() | {"TOPUP_PII_OLD_KEYS": text}, BridgeSettings)

    assert sentence.startswith("TOPUP_PII_OLD_KEYS must be exactly 32 bytes in base64")
    assert environments.PII_KEY not in sentence
