"""Environments that load, for tests to break one thing of."""

import base64
import functools

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROVIDERS_PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmtl2b73Ag/kVnO9gLxm2
uJSzl4+XTte2ktZ/fcAjKUd2qqMmd36Tb1B3Afsw4wKcRd8u+WwUExNAJxsKBL7c
iuok9eMPr2RzZlok9xx/D+09G8LEvlspIZsBwgM/V8ySetEU4e4mBoxPyNz3H+PW
HyNA6aFT2fPYqb/d+9dFx/BHMMqepFWRqBpZp20VNNvDFU14rBSt47SjmMwdEyIR
fUXiPOKRt0exow6V8lIuqoqCe4kGQIDM+OLXwbi8/uZfyRiRgxaKlJTatbqNGwB2
vY+sXm9d1GqM/PolqEscSzHX4fDxbfEqiVIhjZCTq9acqPlqF0ZTggIvQ2NuTqPd
NQIDAQAB
-----END PUBLIC KEY-----
"""
"""Its private half was never kept."""


@functools.cache
def key_pair(bits: int = 2048) -> tuple[str, str]:
    """An RSA key pair as PEM: private, public."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


PII_KEY = base64.b64encode(bytes(range(32))).decode()


def bridge() -> dict[str, str]:
    """All that a bridge needs."""
    return {
        "TOPUP_DATABASE_URL": "postgresql://topup:hunter2secret@db/topup?sslmode=require",
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "TOPUP_PII_KEY": PII_KEY,
        "TOPUP_RECORD_KEY": PII_KEY,
    }


def wechat() -> dict[str, str]:
    """WeChat Pay at a simulator."""
    private, _ = key_pair()
    return {
        "TOPUP_WECHAT_URL": "http://127.0.0.1:9001",
        "TOPUP_WECHAT_MCHID": "1900000109",
        "TOPUP_WECHAT_APPID": "wxd678efh567hg6787",
        "TOPUP_WECHAT_SERIAL_NO": "5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
        "TOPUP_WECHAT_PRIVATE_KEY": private,
        "TOPUP_WECHAT_API_V3_KEY": "0123456789abcdef0123456789abcdef",
        "TOPUP_WECHAT_PUBLIC_KEY_ID": "PUB_KEY_ID_0119000001092024",
        "TOPUP_WECHAT_PUBLIC_KEY": PROVIDERS_PUBLIC_KEY,
    }


def alipay() -> dict[str, str]:
    """Alipay at a simulator."""
    private, _ = key_pair()
    return {
        "TOPUP_ALIPAY_URL": "http://127.0.0.1:9002/gateway.do",
        "TOPUP_ALIPAY_APP_ID": "2021000117650139",
        "TOPUP_ALIPAY_SELLER_ID": "2088102146225135",
        "TOPUP_ALIPAY_PRIVATE_KEY": private,
        "TOPUP_ALIPAY_PUBLIC_KEY": PROVIDERS_PUBLIC_KEY,
    }


def worker() -> dict[str, str]:
    """All that a worker needs, with both providers."""
    return {
        "TOPUP_DATABASE_URL": "sqlite:///topup.db",
        "TOPUP_PII_KEY": PII_KEY,
        "TOPUP_CARRIER_URL": "http://127.0.0.1:9000",
        "TOPUP_CARRIER_TOKEN": "carrier-token-5ecret",
        "TOPUP_MQTT_BROKERS": '[{"name": "cars", "url": "mqtt://user:mqtt5ecret@127.0.0.1:1883"}]',
        **wechat(),
        **alipay(),
    }
