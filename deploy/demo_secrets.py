# ruff: noqa: INP001 - a script beside the files it is for, no package
"""Make what `docker-compose.temporal.yml` wants in `deploy/secrets/`: keys, passwords and tokens, for simulators.

Run it once, in the project's folder: `.venv/bin/python deploy/demo_secrets.py`, or with the image alone as
`deploy/README.md` shows. What is there is kept, so running it again is harmless, and a real secret put in place of a
made one stays.
"""

import base64
import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "secrets"
MOSQUITTO_ROUNDS: Final = 101
"""PBKDF2 rounds of mosquitto's own `mosquitto_passwd`; the passwords here are 192 random bits anyway."""


def main() -> int:
    """Make the missing files; 0."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    FOLDER.chmod(0o700)  # guards the files, which containers with another user must be able to read
    for name, make in _FILES.items():
        _keep_or_make(name, make)
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
    "topup_pii_key": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "topup_carrier_token": _password,
    "mosquitto_topup_password": _password,
    "mosquitto_vehicles_password": _password,
    "mosquitto_passwords": lambda: "\n".join(
        _mosquitto_line(user, _text(f"mosquitto_{user}_password")) for user in ("topup", "vehicles")
    ),
    "vehicles_broker_url": lambda: f"mqtt://vehicles:{_text('mosquitto_vehicles_password')}@mosquitto:1883",
    "topup_mqtt_brokers": lambda: json.dumps(
        [{"name": "cars", "url": f"mqtt://topup:{_text('mosquitto_topup_password')}@mosquitto:1883"}]
    ),
}
"""In this order: later ones are made of earlier ones."""


if __name__ == "__main__":
    sys.exit(main())
