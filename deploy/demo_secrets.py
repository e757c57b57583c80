# ruff: noqa: INP001 - a script beside the files it is for, no package
"""Make what `docker-compose.temporal.yml` wants in `deploy/secrets/`: keys, passwords and tokens, for simulators.

Run it once, in the project's folder: `.venv/bin/python deploy/demo_secrets.py`, or with the image alone as
`deploy/README.md` shows. What is there is kept, so running it again is harmless, and a real secret put in place of a
made one stays.
"""

import base64
import hashlib
import ipaddress
import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER: Final = Path(__file__).parent / "secrets"
MOSQUITTO_ROUNDS: Final = 101
"""PBKDF2 rounds of mosquitto's own `mosquitto_passwd`; the passwords here are 192 random bits anyway."""
SERVERS: Final = ("temporal", "kafka", "mosquitto", "signin")
CALL_THEMSELVES: Final = ("temporal", "kafka")
"""Servers whose parts are clients of one another. No other server's certificate lets it in anywhere."""
CLIENTS: Final = ("ui", "setup", "bridge", "worker", "gateway", "operator")
"""Each has a certificate with its name, by which Kafka knows its rights."""
AUTHORITY_LIVES: Final = timedelta(days=3650)
CERTIFICATE_LIVES: Final = timedelta(days=825)
"""What browsers take at most. Made anew when its files are taken away."""
DEMO_CAR: Final = "LSGBC5342AG000001"


def main() -> int:
    """Make the missing files; 0."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    FOLDER.chmod(0o700)  # guards the files, which containers with another user must be able to read
    for name, make in _FILES.items():
        _keep_or_make(name, make)
    for name in (*SERVERS, *CLIENTS):
        _keep_or_make(f"{name}_key", _private_key)
        _keep_or_make(f"{name}_certificate", lambda name=name: _certificate(name))
    _keep_or_make("kafka_keystore", lambda: f"{_text('kafka_key')}\n{_text('kafka_certificate')}")
    (FOLDER / "ca_key").chmod(0o400)  # for nobody's container
    for name, value in _provider_settings().items():
        _keep_or_make(name.lower(), lambda value=value: value)
    for path in FOLDER.glob("simulators/*"):
        path.chmod(0o444)
    sys.stdout.write(f"{FOLDER} holds all secrets; keep its copy as safe as the database's backup\n")
    return 0


def _keep_or_make(name: str, make: Callable[[], str]) -> None:
    path = FOLDER / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(make() + "\n")
    path.chmod(0o444)


def _text(name: str) -> str:
    return (FOLDER / name).read_text().strip()


def _password() -> str:
    return secrets.token_urlsafe(24)


def _provider_settings() -> dict[str, str]:
    """The simulators' keys as settings of the product, made by the simulators themselves."""
    keys = FOLDER / "simulators"
    subprocess.run(  # noqa: S603 - our own module, with this interpreter
        [sys.executable, "-m", "simulators", "keys", "--out", str(keys)], check=True, stdout=subprocess.DEVNULL
    )
    keys.chmod(0o755)
    return {name: value.strip() for name, value in json.loads((keys / "settings.json").read_text()).items()}


def _private_key() -> str:
    """PKCS #8 in PEM, as Kafka wants it."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode().strip()


def _certificate(name: str) -> str:
    """A certificate of our authority for the key `{name}_key`; the authority's own for `ca`."""
    own, authority = (load_pem_private_key(_text(f"{who}_key").encode(), None) for who in (name, "ca"))
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    assert isinstance(authority, ec.EllipticCurvePrivateKey)
    is_authority = name == "ca"
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named("ca"))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + (AUTHORITY_LIVES if is_authority else CERTIFICATE_LIVES))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .add_extension(_usage(is_authority=is_authority), critical=True)
    )
    if not is_authority:
        hosts = [x509.DNSName(name), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        uses = ([ExtendedKeyUsageOID.SERVER_AUTH] if name in SERVERS else []) + (
            [ExtendedKeyUsageOID.CLIENT_AUTH] if name in (*CLIENTS, *CALL_THEMSELVES) else []
        )
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    return builder.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM).decode().strip()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "topup demo authority" if name == "ca" else name)])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign_in_line(user: str, password: str) -> str:
    """A line of nginx's password file; salted SHA-1 is enough for 192 random bits."""
    salt = secrets.token_bytes(8)
    digest = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest()
    return f"{user}:{{SSHA}}{base64.b64encode(digest + salt).decode()}"


def _mosquitto_line(user: str, password: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512, as `mosquitto_passwd` writes it."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, MOSQUITTO_ROUNDS, 64)
    return f"{user}:$7${MOSQUITTO_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


_FILES: Final[dict[str, Callable[[], str]]] = {
    "postgres_superuser_password": _password,
    "temporal_database_password": _password,
    "topup_database_password": _password,
    "topup_database_url": lambda: f"postgresql://topup:{_text('topup_database_password')}@postgres/topup",
    "topup_process_database_password": _password,
    "topup_process_database_url": lambda: (
        f"postgresql://topup_process:{_text('topup_process_database_password')}@postgres/topup"
    ),
    "topup_pii_key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "topup_record_key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "topup_attach_key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "topup_codec_key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "topup_codec_proxy_token": _password,
    "topup_codec_tokens": lambda: json.dumps({"operator": _password()}),
    "signin_operator_password": _password,
    "signin_operators": lambda: _sign_in_line("operator", _text("signin_operator_password")),
    "signin_codec_header": lambda: f'proxy_set_header Authorization "Bearer {_text("topup_codec_proxy_token")}";',
    "ca_key": _private_key,
    "ca_certificate": lambda: _certificate("ca"),
    "topup_carrier_token": _password,
    "mosquitto_topup_password": _password,
    "mosquitto_vehicles_password": _password,
    "mosquitto_demo_car_password": _password,
    "mosquitto_passwords": lambda: "\n".join(
        _mosquitto_line(user, _text(f"mosquitto_{whose}_password"))
        for user, whose in (("topup", "topup"), ("vehicles", "vehicles"), (DEMO_CAR, "demo_car"))
    ),
    "vehicles_broker_url": lambda: f"mqtts://vehicles:{_text('mosquitto_vehicles_password')}@mosquitto:8884",
    "topup_mqtt_brokers": lambda: json.dumps(
        [
            {
                "name": "cars",
                "url": f"mqtts://topup:{_text('mosquitto_topup_password')}@mosquitto:8884",
                "cafile": "/run/secrets/ca_certificate",
            }
        ]
    ),
}
"""In this order: later ones are made of earlier ones."""


if __name__ == "__main__":
    sys.exit(main())
