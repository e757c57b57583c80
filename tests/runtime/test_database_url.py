"""The database's URL: libpq's words work, and what can never work is said at once, without its secrets."""

import asyncio
import stat
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from devkit.servers.postgres import Postgres
from runtime.clock import SystemClock
from runtime.database_url import PostgresServers, SqliteFile, parse
from tests.adapters.book_process import count_up, open_book, paid_order

PLAIN = "postgresql://ann:s3cret@db.example/book"


def servers(url: str) -> PostgresServers:
    parsed = parse(url)
    assert isinstance(parsed, PostgresServers)
    return parsed


@pytest.mark.parametrize(
    ("url", "path"), [("sqlite:///topup.db", "topup.db"), ("sqlite:////var/lib/topup.db", "/var/lib/topup.db")]
)
def test_a_file_is_named_after_three_slashes(url: str, path: str):
    assert parse(url) == SqliteFile(path)


def test_what_is_left_out_has_its_usual_value():
    parsed = servers(PLAIN)

    assert (parsed.hosts, parsed.user, parsed.password, parsed.database) == (
        (("db.example", 5432),),
        "ann",
        "s3cret",
        "book",
    )
    assert (parsed.application_name, parsed.connect_timeout_seconds, parsed.words) == ("topup", 5.0, {})


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ("a:1,b:2", (("a", 1), ("b", 2))),
        ("a,b", (("a", 5432), ("b", 5432))),
        ("[::1]:7,b", (("::1", 7), ("b", 5432))),
    ],
)
def test_several_hosts_mean_the_one_that_takes_changes(hosts: str, found: tuple[tuple[str, int], ...]):
    parsed = servers(f"postgresql://ann:s3cret@{hosts}/book")

    assert parsed.hosts == found
    assert parsed.words == {"target_session_attrs": "read-write"}
    assert parsed.connect_timeout_seconds * len(found) < 5.0


def test_hosts_and_login_may_stand_among_the_words():
    parsed = servers("postgresql:///book?host=a,b&port=1,2&user=ann&password=s%263cret&target_session_attrs=primary")

    assert parsed.hosts == (("a", 1), ("b", 2))
    assert (parsed.user, parsed.password) == ("ann", "s&3cret")
    assert parsed.words == {"target_session_attrs": "primary"}


def test_a_password_is_taken_as_it_was_meant():
    assert servers("postgresql://ann:a%40b%2F%3Fc@db/book").password == "a@b/?c"
    assert "a%40b%2F%3Fc" in servers("postgresql://ann:a%40b%2F%3Fc@db/book").dsn


@pytest.mark.parametrize("letter", [chr(code) for code in (*range(1, 128), 0x7F, 0xE9, 0x4E2D, 0x1F600)])
def test_a_password_may_hold_every_character_escaped(letter: str):
    password = f"a{letter}b{letter}"
    for url in (
        f"postgresql://ann:{quote(password, safe='')}@db/book",
        f"postgresql://db/book?user=ann&password={quote(password, safe='')}",
    ):
        parsed = servers(url)
        assert parsed.password == password
        assert unquote(parsed.dsn.removeprefix("postgresql://ann:").partition("@")[0]) == password


def test_a_plus_is_a_plus():
    """As libpq reads it; it was a blank, so that the file was not found and the password another one."""
    parsed = servers("postgresql://db/book?user=ann&password=a+b&application_name=top+up")
    assert (parsed.password, parsed.application_name) == ("a+b", "top+up")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann%00:hunter@db/book",
        "postgresql://ann:hunter%00database%00other@db/book",
        "postgresql://ann:hunter@db/book%00",
        "postgresql://ann:hunter@%00db/book",
        "postgresql://ann:hunter@db/book?application_name=a%00b",
        "postgresql://ann:hunter%ff@db/book",
        "postgresql://ann:x@db/book?password=hunter%ff",
        "postgresql://ann:p?hunter=2@db/book",
        "postgresql://ann:x@db/book?connect_timeout=\uff11\uff12",
        "sqlite:///hunter\x00.db",
    ],
)
def test_what_no_server_reads_as_it_stands_is_refused_without_its_words(url: str):
    """A NUL began another setting of the startup message; a password's part stood in the sentence."""
    with pytest.raises(ValueError, match=r"^(must|has)") as refused:
        parse(url)
    assert "hunter" not in str(refused.value)


def test_words_are_for_the_driver_or_for_us(tmp_path: Path):
    authority = tmp_path / "ca.pem"
    authority.write_text("x")
    parsed = servers(f"{PLAIN}?sslmode=verify-full&sslrootcert={authority}&application_name=shop&connect_timeout=3")

    assert parsed.words == {"sslmode": "verify-full", "sslrootcert": str(authority)}
    assert (parsed.application_name, parsed.connect_timeout_seconds) == ("shop", 3.0)


def test_whoever_names_an_authority_has_the_server_verified(tmp_path: Path):
    (tmp_path / "ca.pem").write_text("x")
    assert servers(f"{PLAIN}?sslrootcert={tmp_path}/ca.pem").words["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    ("url", "clause"),
    [
        ("mysql://ann:s3cret@db/book", "must start with"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("postgresql://ann:s3cret@/book", "must name the host and the database"),
        ("postgresql://ann:s3cret@db", "must name the host and the database"),
        ("postgresql://ann:s3cret@db:x/book", "port"),
        ("postgresql://ann:s3cret@db:70000/book", "port"),
        ("postgresql://ann:s3cret@a,,b/book", "each host"),
        (f"{PLAIN}?sslmod=require", "sslmod"),
        (f"{PLAIN}?ssl=require", "ssl"),
        (f"{PLAIN}?prepared_statement_cache_size=0", "prepared_statement_cache_size"),
        (f"{PLAIN}?sslmode=s3cret", "sslmode"),
        (f"{PLAIN}?sslmode=", "sslmode"),
        (f"{PLAIN}?sslmode", "word=value"),
        (f"{PLAIN}?sslmode=require&sslmode=disable", "once"),
        (f"{PLAIN}?sslmode=verify-full", "sslrootcert"),
        (f"{PLAIN}?sslrootcert=/nowhere/s3cret.pem", "sslrootcert"),
        (f"{PLAIN}?sslcert=/dev/null", "sslkey"),
        (f"{PLAIN}?connect_timeout=soon", "connect_timeout"),
        (f"{PLAIN}?target_session_attrs=standby", "target_session_attrs"),
        (f"{PLAIN}?target_session_attrs=s3cret", "target_session_attrs"),
        ("postgresql://ann:pa?S3CRET=s3cret@db/book", "…"),
    ],
)
def test_what_can_never_work_is_said_in_a_clause_without_its_values(url: str, clause: str):
    with pytest.raises(ValueError, match=r"^(must|has) ") as said:
        parse(url)

    assert clause in str(said.value)
    assert "s3cret" not in str(said.value).lower()
    with pytest.raises(ValueError, match=r"^(must|has) "):
        OrderBook.open(url, FieldCipher(bytes(32)), SystemClock())


@pytest.mark.real
@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("sslmode=disable", "topup"),
        ("sslmode=prefer", "topup"),
        ("application_name=shop", "shop"),
        ("connect_timeout=5", "topup"),
        ("target_session_attrs=read-write&sslmode=allow", "topup"),
    ],
)
async def test_the_words_work_on_a_server_which_sees_our_name_and_our_limits(postgres: Postgres, words: str, name: str):
    url = postgres.create_database()
    book = open_book(f"{url}?{words}")
    await book.migrate()
    await book.ping()

    database = url.rpartition("/")[2]
    seen = postgres.execute(f"SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = '{database}'")
    assert [row[0] for row in seen] == [name]
    async with book._transaction(write=False) as connection:
        for setting in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"):
            shown = (await connection.exec_driver_sql(f"SHOW {setting}")).scalar_one()
            assert shown not in ("0", 0), setting
    await book.close()


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_the_file_is_for_our_eyes_only_with_all_that_belongs_to_it(tmp_path: Path):
    book = open_book(f"sqlite:///{tmp_path}/book.db")
    await book.migrate()
    await book.claim([paid_order("T00001")])
    await asyncio.gather(*(count_up(book, "T00001") for _ in range(3)))

    assert modes(tmp_path) == dict.fromkeys(("book.db", "book.db-shm", "book.db-wal"), 0o600)
    await book.close()


async def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path):
    (tmp_path / "book.db").touch()
    (tmp_path / "book.db").chmod(0o640)
    book = open_book(f"sqlite:///{tmp_path}/book.db")
    await book.migrate()

    assert modes(tmp_path)["book.db"] == 0o640
    await book.close()
