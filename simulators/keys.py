"""Key material for both sides of the payment providers, as files and as the product's settings."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

KEY_BITS = 2048
PUBLIC_EXPONENT = 65537
SETTINGS_FILE = "settings.json"
PAIRS = ("wechat-merchant", "wechat-platform", "alipay-app", "alipay-platform")
"""Who signs: the merchant and WeChat Pay, the merchant's app and Alipay."""


class KeysError(Exception):
    """Keys are missing or none; the text says what to do."""


@dataclass(frozen=True, slots=True)
class WechatKeys:
    """What the simulated WeChat Pay knows of itself and of the merchant."""

    merchant_id: str
    merchant_serial_no: str
    merchant_public_key: RSAPublicKey
    platform_private_key: RSAPrivateKey
    platform_public_key_id: str
    api_v3_key: str
    app_id: str = "wxd678efh567hg6787"


@dataclass(frozen=True, slots=True)
class AlipayKeys:
    """What the simulated Alipay knows of itself and of the app."""

    app_id: str
    seller_id: str
    app_public_key: RSAPublicKey
    platform_private_key: RSAPrivateKey


def private_key(path: Path) -> RSAPrivateKey:
    """Read an RSA private key in PEM; raises KeysError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise KeysError(f"{path} is no RSA private key in PEM; make one with `python -m simulators keys`") from error
    if not isinstance(key, RSAPrivateKey):
        raise KeysError(f"{path} is not an RSA key; make one with `python -m simulators keys`")
    return key


def public_key(path: Path) -> RSAPublicKey:
    """Read an RSA public key in PEM; raises KeysError."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KeysError(f"{path} is no RSA public key in PEM; make one with `python -m simulators keys`") from error
    if not isinstance(key, RSAPublicKey):
        raise KeysError(f"{path} is not an RSA key; make one with `python -m simulators keys`")
    return key


def write_keys(folder: Path) -> Path:
    """Make a folder of keys, or keep the one that is there; returns the path of its settings.

    `settings.json` maps the product's variables (contracts §9, without the addresses) to their values.
    """
    settings_path = folder / SETTINGS_FILE
    if settings_path.exists():
        return settings_path
    folder.mkdir(parents=True, exist_ok=True)
    for pair in PAIRS:
        key = generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
        private_path = folder / f"{pair}-private.pem"
        private_path.touch(mode=0o600)
        private_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / f"{pair}-public.pem").write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    settings_path.touch(mode=0o600)
    settings_path.write_text(json.dumps(_settings(folder), indent=2) + "\n")
    return settings_path


def _settings(folder: Path) -> dict[str, str]:
    def pem(name: str) -> str:
        return (folder / f"{name}.pem").read_text()

    return {
        "TOPUP_WECHAT_MCHID": "1900000109",
        "TOPUP_WECHAT_APPID": "wxd678efh567hg6787",
        "TOPUP_WECHAT_SERIAL_NO": secrets.token_hex(20).upper(),
        "TOPUP_WECHAT_PRIVATE_KEY": pem("wechat-merchant-private"),
        "TOPUP_WECHAT_API_V3_KEY": secrets.token_hex(16),
        "TOPUP_WECHAT_PUBLIC_KEY_ID": f"PUB_KEY_ID_{secrets.randbelow(10**30):030d}",
        "TOPUP_WECHAT_PUBLIC_KEY": pem("wechat-platform-public"),
        "TOPUP_ALIPAY_APP_ID": "2021000000000001",
        "TOPUP_ALIPAY_SELLER_ID": "2088000000000001",
        "TOPUP_ALIPAY_PRIVATE_KEY": pem("alipay-app-private"),
        "TOPUP_ALIPAY_PUBLIC_KEY": pem("alipay-platform-public"),
    }


def _read_settings(folder: Path) -> dict[str, str]:
    try:
        return json.loads((folder / SETTINGS_FILE).read_text())
    except (OSError, ValueError) as error:
        raise KeysError(f"{folder} holds no {SETTINGS_FILE}; run `python -m simulators keys --out {folder}`") from error


def wechat_keys(folder: Path) -> WechatKeys:
    """The provider's side of a folder of keys; raises KeysError."""
    settings = _read_settings(folder)
    return WechatKeys(
        merchant_id=settings["TOPUP_WECHAT_MCHID"],
        merchant_serial_no=settings["TOPUP_WECHAT_SERIAL_NO"],
        merchant_public_key=public_key(folder / "wechat-merchant-public.pem"),
        platform_private_key=private_key(folder / "wechat-platform-private.pem"),
        platform_public_key_id=settings["TOPUP_WECHAT_PUBLIC_KEY_ID"],
        api_v3_key=settings["TOPUP_WECHAT_API_V3_KEY"],
        app_id=settings["TOPUP_WECHAT_APPID"],
    )


def alipay_keys(folder: Path) -> AlipayKeys:
    """The provider's side of a folder of keys; raises KeysError."""
    settings = _read_settings(folder)
    return AlipayKeys(
        app_id=settings["TOPUP_ALIPAY_APP_ID"],
        seller_id=settings["TOPUP_ALIPAY_SELLER_ID"],
        app_public_key=public_key(folder / "alipay-app-public.pem"),
        platform_private_key=private_key(folder / "alipay-platform-private.pem"),
    )
