"""The order book's database URL: a SQLite file, or PostgreSQL servers in libpq's words (its manual, "Connection URIs").

Pure but for a look at the named files: what can never work is said at start, and not waited for as "away".
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

APPLICATION_NAME: Final = "topup"
"""How the product is called at the server (`pg_stat_activity`) where the URL says nothing else."""
CONNECT_SECONDS: Final = 5.0
CONNECT_ONE_OF_SECONDS: Final = 2.0
"""For each of several hosts: one that swallows everything leaves time for the next within a transaction's limit."""
POSTGRES_PORT: Final = 5432
_HIGHEST_PORT: Final = 65535

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "ssl_min_protocol_version": ("TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1.2", "TLSv1.3"),
}
_NEVER_WRITES: Final = ("read-only", "standby", "prefer-standby")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_DRIVERS_WORDS: Final = (*_CHOICES, *_FILES, "sslpassword")
_OUR_WORDS: Final = ("application_name", "connect_timeout", "host", "port", "user", "password")
WORDS: Final = (*_OUR_WORDS, *_DRIVERS_WORDS)
"""What may stand after the `?`, each at most once; as libpq understands it."""
_ENCRYPTING: Final = ("require", "verify-ca", "verify-full")
_VERIFYING: Final = ("verify-ca", "verify-full")
_SYSTEM: Final = "system"
"""`sslrootcert=system`: the certificates that the machine trusts."""


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file that all processes share."""

    path: str


@dataclass(frozen=True, slots=True)
class PostgresServers:
    """The servers that may be the primary, in the order in which they are tried.

    Attributes:
        hosts: `(host, port)`, at least one; a host that begins with `/` is a socket's folder.
        connect_timeout_seconds: for each host.
        words: those of the URL that go to the driver as they stand.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str
    database: str
    application_name: str
    connect_timeout_seconds: float
    words: Mapping[str, str]

    @property
    def in_clear(self) -> bool:
        """Whether a connection over the network may go without TLS.

        libpq's `prefer`, the default, is talked out of it by whoever is between.
        """
        over_network = any(not host.startswith("/") for host, _ in self.hosts)
        return over_network and self.words.get("sslmode") not in _ENCRYPTING

    @property
    def dsn(self) -> str:
        """Everything but the host, for the driver; it holds the password."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"postgresql://{login}/{quote(self.database, safe='')}?{urlencode(self.words)}"


def parse(url: str) -> SqliteFile | PostgresServers:
    """Read `sqlite:///file` or `postgresql://user:password@host[:port][,host[:port]…]/database[?word=value&…]`.

    Raises:
        ValueError: it can never work; the text is a clause that follows the setting's name, without its values.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("sqlite", "postgresql", "postgres"):
        raise ValueError("must start with sqlite:/// or postgresql:// (the product picks the driver)")
    return _sqlite(rest) if scheme == "sqlite" else _postgres(rest)


def _sqlite(rest: str) -> SqliteFile:
    if not rest.startswith("/") or rest == "/" or ":memory:" in rest:
        raise ValueError("must name a file that all processes share, after sqlite:///")
    _without_nul(rest)
    if "?" in rest:
        raise ValueError("must be sqlite:/// and the file's name alone, without a ?")
    return SqliteFile(rest[1:])


def _postgres(rest: str) -> PostgresServers:
    before, _, query = rest.partition("?")
    authority, _, database = before.partition("/")
    login, _, hosts = authority.rpartition("@")
    user, _, password = login.partition(":")
    words = _words(query)
    found = _hosts(words.pop("host", "") or _decoded(hosts), words.pop("port", ""))
    name = _decoded(database)
    if not found or not name:
        raise ValueError("must name the host and the database, postgresql://user:password@host/name")
    user, password = words.pop("user", "") or _decoded(user), words.pop("password", "") or _decoded(password)
    application_name = words.pop("application_name", APPLICATION_NAME)
    timeout = words.pop("connect_timeout", "")
    if len(found) > 1 and "target_session_attrs" not in words:
        words["target_session_attrs"] = "read-write"  # of several servers, the one that takes writes is meant
    _check(words)
    return PostgresServers(
        hosts=found,
        user=user,
        password=password,
        database=name,
        application_name=application_name,
        connect_timeout_seconds=_seconds(timeout, several=len(found) > 1),
        words=_as_the_driver_takes_them(words),
    )


def _words(query: str) -> dict[str, str]:
    try:  # to libpq a `+` is one, and no blank
        plain = query.replace("+", "%2B")
        pairs = parse_qsl(plain, keep_blank_values=True, strict_parsing=True, errors="strict") if query else []
    except ValueError:
        raise ValueError("must have word=value&word=value after the ?") from None
    words = dict(pairs)
    if unknown := sorted(words.keys() - set(WORDS)):
        # The name is not quoted where it may be a part of a password with an unescaped "?": the host follows then.
        whole = "@" not in query
        shown = ", ".join(name if whole and re.fullmatch(r"[a-z_]{1,40}", name) else "…" for name in unknown)
        raise ValueError(f"has words after the ? that it does not know ({shown}): it takes {', '.join(WORDS)}")
    if len(words) < len(pairs):
        raise ValueError("must have each word after the ? once (several hosts: host=a,b)")
    return {name: _without_nul(value) for name, value in words.items()}


def _decoded(text: str) -> str:
    """Without percent escapes.

    Raises:
        ValueError: they are no text; whatever stood in their place would be another name or password.
    """
    try:
        return _without_nul(unquote(text, errors="strict"))
    except UnicodeDecodeError:
        raise ValueError("must have percent escapes that are UTF-8") from None


def _without_nul(text: str) -> str:
    """A NUL ends a text of PostgreSQL's protocol: what follows it would be read as another setting."""
    if "\x00" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _hosts(hosts: str, ports: str) -> tuple[tuple[str, int], ...]:
    """`a:1,[::1]:2,c`; ports apart (`port=1,2`) count where none stands at the host."""
    apart = ports.split(",") if ports else []
    names = hosts.split(",") if hosts else []
    if len(apart) > 1 and len(apart) != len(names):
        raise ValueError("must have one port for all hosts, or as many ports as hosts")
    found: list[tuple[str, int]] = []
    for number, one in enumerate(names):
        whole = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d*))?", one.strip())
        if whole is None:
            raise ValueError("must name each host as host or host:port, an IPv6 address in brackets")
        port = whole["port"] or (apart[number if len(apart) > 1 else 0] if apart else str(POSTGRES_PORT))
        if not port.isascii() or not port.isdigit() or not 0 < int(port) <= _HIGHEST_PORT:
            raise ValueError("must have a port from 1 to 65535")
        found.append((whole["six"] or whole["name"], int(port)))
    return tuple(found)


def _check(words: Mapping[str, str]) -> None:
    for word, choices in _CHOICES.items():
        if word in words and words[word] not in choices:
            raise ValueError(f"must have one of {', '.join(choices)} as {word}")
    if words.get("target_session_attrs") in _NEVER_WRITES:
        raise ValueError("must lead to a server that can write: target_session_attrs read-write, primary or any")
    if words.get("sslmode", "") in _VERIFYING and not words.get("sslrootcert"):
        raise ValueError(f"must name the authority's certificates as sslrootcert (a file, or {_SYSTEM}) to verify them")
    for word in _FILES:
        if word in words and not (word == "sslrootcert" and words[word] == _SYSTEM):
            _check_file(word, words[word])
    if ("sslkey" in words) != ("sslcert" in words):
        raise ValueError("must name both sslcert and sslkey, or neither")


def _check_file(word: str, name: str) -> None:
    try:
        with Path(name).open("rb") as file:
            file.read(1)
    except OSError:
        raise ValueError(f"must name a file as {word} that this process can read") from None


def _seconds(text: str, *, several: bool) -> float:
    """As libpq: whole seconds; 0 or nothing is the default. Never longer than a transaction may take."""
    if text and not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("must have whole seconds as connect_timeout")
    default = CONNECT_ONE_OF_SECONDS if several else CONNECT_SECONDS
    return min(float(text or 0) or default, CONNECT_SECONDS)


def _as_the_driver_takes_them(words: dict[str, str]) -> dict[str, str]:
    if words.get("sslrootcert") == _SYSTEM:
        paths = ssl.get_default_verify_paths()
        if not paths.cafile:
            raise ValueError("must name a file as sslrootcert: this machine has none of its own")
        words["sslrootcert"] = paths.cafile
    if "sslrootcert" in words and "sslmode" not in words:
        words["sslmode"] = "verify-full"  # whoever names an authority means it
    return words
