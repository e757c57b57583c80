"""Text of a variable → value. Each parser raises `ValueError` with a clause that follows the variable's name.

No clause quotes the text: it may be a secret.
"""

import base64
import binascii
import ipaddress
import json
import math
import re
import ssl
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, cast
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from pydantic import AfterValidator

from runtime import database_url as database_urls

PII_KEY_BYTES: Final = 32
LARGEST_PORT: Final = 65_535
SMALLEST_RSA_BITS: Final = 2048
"""What both providers issue; a shorter key is a mix-up."""


def matching(pattern: str, rule: str) -> Callable[[str], str]:
    """A parser of text that matches `pattern` as a whole; `rule` is the clause for text that does not."""
    compiled = re.compile(pattern, re.ASCII)

    def parse(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(rule)
        return text

    return parse


token = matching(r"[!-~]+", "must be ASCII without blanks or line breaks")
identifier = matching(r"[!-~]{1,64}", "must be 1 to 64 ASCII characters without blanks")
kafka_name = matching(r"[0-9A-Za-z._-]{1,249}", "must be 1 to 249 characters of letters, digits, `.`, `_` and `-`")
_any_api_v3_key = matching(r"[!-~]{32}", "must be the API v3 key: exactly 32 ASCII characters")


def api_v3_key(text: str) -> str:
    """32 characters, and not all zeros. Any other key is taken: contracts §9 fixes no more."""
    if _any_api_v3_key(text) == "0" * 32:
        raise ValueError("is 32 zeros, which anybody guesses: set another one in the merchant platform")
    return text


CLEARTEXT: Final = ("carrier", "provider", "mqtt", "kafka", "database", "lookup", "traces")
"""What TOPUP_ALLOW_CLEARTEXT may name."""


def cleartext(text: str) -> frozenset[str]:
    """Words of `CLEARTEXT`, separated by commas; `false`: none."""
    words = frozenset(word.strip() for word in text.split(",")) if text != "false" else frozenset[str]()
    if not words <= set(CLEARTEXT):
        raise ValueError(f"must be false, or some of {', '.join(CLEARTEXT)}, separated by commas")
    return words


def is_loopback(host: str) -> bool:
    """Whether what is said to it stays on this machine: by its name or address, nothing is looked up."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def one_of(allowed: Collection[str]) -> Callable[[str], str]:
    """A parser of one of a few words."""
    rule = f"must be {' or '.join(allowed)}"

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(rule)
        return text

    return parse


def boolean(text: str) -> bool:
    """A JSON boolean."""
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of an integer between `low` and `high`, both included."""
    rule = f"must be a whole number from {low} to {high}"

    def parse(text: str) -> int:
        if re.fullmatch(r"\d{1,12}", text, re.ASCII) is None or not low <= int(text) <= high:
            raise ValueError(rule)
        return int(text)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A parser of a duration between `low` and `high` seconds, both included."""
    rule = f"must be a number of seconds from {low:g} to {high:g}"

    def parse(text: str) -> float:
        if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text, re.ASCII) is None or not low <= float(text) <= high:
            raise ValueError(rule)
        return float(text)

    return parse


def rates(names: Collection[str], low: float, high: float) -> Callable[[str], Mapping[str, float]]:
    """A parser of `name=rate` pairs, separated by commas: each name at most once, each rate within both bounds."""
    rule = f"must be pairs such as {min(names)}=20, of {', '.join(names)}, each once and from {low:g} to {high:g}"

    def parse(text: str) -> Mapping[str, float]:
        pairs = [re.fullmatch(r"([a-z]+)=(\d{1,6}(?:\.\d{1,3})?)", one.strip(), re.ASCII) for one in text.split(",")]
        found = {pair[1]: float(pair[2]) for pair in pairs if pair is not None}
        wrong = [name for name, rate in found.items() if name not in names or not low <= rate <= high]
        if len(found) != len(pairs) or wrong:
            raise ValueError(rule)
        return found

    return parse


def time_scale(text: str) -> float:
    """More than 0, at most 1 (contracts §9)."""
    try:
        value = float(text) if text.isascii() else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise ValueError("must be a number above 0 and at most 1")
    return value


def api_version(text: str) -> tuple[int, ...]:
    """`2.3` → `(2, 3)`."""
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){1,2}", text, re.ASCII) is None:
        raise ValueError("must be a version of Kafka such as 2.3, or unset to negotiate it")
    return tuple(int(part) for part in text.split("."))


def bootstrap_servers(text: str) -> str:
    """`host:port,host:port`, blanks dropped."""
    servers = [server.strip() for server in text.split(",")]
    for server in servers:
        host, colon, port = server.rpartition(":")
        if not (colon and host and is_port(port)) or re.search(r"[\s/@]", host):
            raise ValueError("must be host:port, several of them separated by commas")
    return ",".join(servers)


def unusable(cafile: str | None, certfile: str | None, keyfile: str | None) -> tuple[str, str] | None:
    """Which of the files TLS can't use, and why: `("certfile", "can't be read (No such file or directory)")`."""
    for name, path in (("cafile", cafile), ("certfile", certfile), ("keyfile", keyfile)):
        try:
            _ = path and Path(path).read_bytes()
        except OSError as error:
            return name, f"can't be read ({error.strerror})"
    try:
        context = ssl.create_default_context(cafile=cafile)
    except ssl.SSLError:
        return "cafile", "holds no certificate in PEM"
    try:
        if certfile is not None:
            context.load_cert_chain(certfile, keyfile, password="")
    except (ssl.SSLError, OSError):
        return "certfile", "doesn't go with its key, or one of them is no PEM, or the key has a password"
    return None


def _usable_authorities(cafile: str) -> str:
    if wrong := unusable(cafile, None, None):
        raise ValueError(f"names a file that {wrong[1]}")
    return cafile


CaFile = Annotated[str, AfterValidator(_usable_authorities)]
"""A file of certificates of authorities, PEM, which is read at start."""


def pii_key(text: str) -> bytes:
    """32 bytes in base64."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != PII_KEY_BYTES:
        raise ValueError("must be exactly 32 bytes in base64 (make one with `openssl rand -base64 32`)")
    if not any(key):
        raise ValueError("is 32 zero bytes, which anybody guesses (make one with `openssl rand -base64 32`)")
    return key


def pii_keys(text: str) -> tuple[bytes, ...]:
    """Keys as `pii_key` takes them, separated by commas; each once."""
    return tuple(dict.fromkeys(pii_key(part.strip()) for part in text.split(",")))


def moment(text: str) -> datetime:
    """An RFC 3339 moment, aware."""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", text, re.ASCII) is None:
        raise ValueError("must be a moment with its time zone (RFC 3339)")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a date and a time that exist") from None


def private_key(text: str) -> str:
    """An unencrypted RSA private key, PEM; a written-out backslash-n counts as a line break, for env files."""
    pem = _pem(text)
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("must be an unencrypted RSA private key in PEM") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SMALLEST_RSA_BITS:
        raise ValueError(f"must be an RSA private key of at least {SMALLEST_RSA_BITS} bits in PEM")
    return pem


def public_key(text: str) -> str:
    """An RSA public key, PEM; a written-out backslash-n counts as a line break, for env files."""
    pem = _pem(text)
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be an RSA public key in PEM, the provider's and not your own") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_RSA_BITS:
        raise ValueError(f"must be an RSA public key of at least {SMALLEST_RSA_BITS} bits in PEM")
    return pem


def of_one_pair(private: str, public: str) -> bool:
    """Whether the public keys and certificates in `public` hold that of `private`; both were read by the parsers."""
    key = load_pem_private_key(private.encode(), password=None)
    ours = key.public_key()
    theirs = re.findall(r"-----BEGIN PUBLIC KEY-----.+?-----END [A-Z ]+-----", public, re.DOTALL)
    return any(load_pem_public_key(one.encode()) == ours for one in theirs)


def public_keys(text: str) -> str:
    """RSA public keys or certificates, PEM, one after the other; a written-out backslash-n counts as a line break."""
    pem = _pem(text)
    parts = re.findall(r"-----BEGIN (?:PUBLIC KEY|CERTIFICATE)-----.+?-----END [A-Z ]+-----", pem, re.DOTALL)
    try:
        keys = [
            load_pem_x509_certificate(part.encode()).public_key()
            if "CERTIFICATE" in part
            else load_pem_public_key(part.encode())
            for part in parts
        ]
    except (ValueError, UnsupportedAlgorithm):
        keys = []
    if not keys or any(not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_RSA_BITS for key in keys):
        raise ValueError("must be one or more RSA public keys or certificates in PEM, the provider's and not your own")
    return pem


def _members(text: str, rule: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(rule) from None
    if not isinstance(found, dict):
        raise ValueError(rule)  # noqa: TRY004 - the text is wrong, not its type
    return cast("dict[str, object]", found)


def keys_by_id(text: str) -> Mapping[str, str]:
    """A JSON object: ID → PEM of a certificate or a public key."""
    rule = "must be a JSON object that maps a key's ID, or a certificate's serial, to its PEM"
    members = _members(text, rule)
    for key_id, pem in members.items():
        if not isinstance(pem, str) or re.fullmatch(r"[!-~]{1,128}", key_id, re.ASCII) is None:
            raise ValueError(rule)
    return {key_id: public_keys(str(pem)) for key_id, pem in members.items()}


def api_v3_keys(text: str) -> tuple[str, ...]:
    """Keys as `api_v3_key` takes them, separated by commas."""
    return tuple(api_v3_key(part.strip()) for part in text.split(","))


def database_url(text: str) -> str:
    """`sqlite:///…` or `postgresql://user:password@host/name`, with libpq's words (`runtime.database_url`)."""
    database_urls.parse(text)
    return text


def http_url(text: str) -> str:
    """`http[s]://host[:port][/path]` without credentials, query and fragment; a closing slash is dropped."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http:// or https:// address with a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be an address without user, query and fragment")
    return text.rstrip("/")


def push_url(text: str) -> str:
    """A webhook's whole address; it may hold a key, so it is never shown. In clear on this machine alone."""
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("must be an https:// address without user and fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be an https:// address: what it says, and its key, are read on the way otherwise")
    return text


def carrier_url(text: str) -> str:
    """The carrier's origin, without the base path of contracts §4, which the product adds."""
    url = http_url(text)
    if "/tmf-api" in url:
        raise ValueError("must end before the base path /tmf-api/…, which is added")
    return url


def origins(text: str) -> tuple[str, ...]:
    """Origins as a browser names them, `https://host[:port]`, separated by commas."""
    found = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    for one in found:
        parts = _split(one)
        if f"{parts.scheme}://{parts.netloc}" != one or parts.scheme not in ("http", "https") or "@" in one:
            raise ValueError("must be the origins of Web UIs, https://host or https://host:port, separated by commas")
    return found


SHORTEST_TOKEN: Final = 20
"""Characters of a bearer token that people don't choose themselves (`openssl rand -base64 24` has 32)."""
_bearer = matching(
    rf"[!-~]{{{SHORTEST_TOKEN},}}",
    f"must be {SHORTEST_TOKEN} or more ASCII characters without blanks (make one with `openssl rand -base64 24`)",
)


def bearer_token(text: str) -> str:
    """A token that can't be guessed."""
    return _bearer(text)


def tokens_by_operator(text: str) -> Mapping[str, str]:
    """A JSON object: operator's name → their bearer token, each another one."""
    rule = "must be a JSON object that maps each operator's name to their token"
    members = _members(text, rule)
    for name, token_ in members.items():
        if not isinstance(token_, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            raise ValueError(rule)
        bearer_token(token_)
    if len(set(members.values())) != len(members):
        raise ValueError("must give each operator a token of their own")
    return {name: str(token_) for name, token_ in members.items()}


LONGEST_NAME: Final = 100
"""Characters of an operator's name."""


def host_in(url: str, domains: Collection[str]) -> bool:
    """Whether the host of `url` is one of `domains` or below one."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def is_port(text: str) -> bool:
    """A TCP port in decimal."""
    return re.fullmatch(r"\d{1,5}", text, re.ASCII) is not None and 1 <= int(text) <= LARGEST_PORT


def _pem(text: str) -> str:
    return text.replace("\\n", "\n").strip() + "\n"


def _split(text: str) -> SplitResult:
    """Parts of an address; raises for blanks, control characters, bad brackets and bad ports."""
    if re.search(r"[\s\x00-\x20]", text):
        raise ValueError("must be an address without blanks and line breaks")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError("must be an address with a valid host and port") from None
    return parts
