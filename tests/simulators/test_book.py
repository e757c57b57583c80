"""The book: complete before any answer, chained, and kept over restarts."""

# ruff: noqa: ASYNC240  # the files are small and local; nothing else runs on the loop

import asyncio
import itertools
import json
import signal
from pathlib import Path

import pytest

from simulators.book import Book, BookTamperedError, BookUnusableError, verify
from tests.limits import WAIT_SECONDS
from tests.simulators.carrier_client import CarrierClient, body_of, new_order_id
from tests.simulators.processes import start


async def write(path: Path, count: int = 5) -> None:
    book = Book(path)
    for number in range(count):
        book.append("noted", number=number, text="zwölf 十二")
    await book.close()


async def test_what_was_written_verifies_and_is_read_back(book_path: Path):
    await write(book_path)
    entries = verify(book_path)
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].data == {"number": 0, "text": "zwölf 十二"}
    assert all(entry.prev == before.hash for before, entry in itertools.pairwise(entries))
    assert entries[0].at.endswith("Z")
    book = Book(book_path)
    assert list(book.replay()) == entries
    await book.close()


async def test_a_restarted_book_goes_on_with_the_chain(book_path: Path):
    await write(book_path)
    await write(book_path)
    assert [entry.seq for entry in verify(book_path)] == list(range(1, 11))


@pytest.mark.parametrize(
    "tamper",
    [
        lambda lines: [*lines[:2], lines[2].replace('"number":2', '"number":3'), *lines[3:]],
        lambda lines: lines[:2] + lines[3:],
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:2], "{}", *lines[2:]],
        lambda lines: [*lines[:2], "zwölf", *lines[3:]],
        lambda lines: [*lines[:2], lines[2] + " ", *lines[3:]],
    ],
)
async def test_tampering_is_detected_by_verify_and_at_start(book_path: Path, tamper):
    await write(book_path)
    lines = book_path.read_text().splitlines()
    book_path.write_text("".join(f"{line}\n" for line in tamper(lines)))
    with pytest.raises(BookTamperedError, match="line"):
        verify(book_path)
    with pytest.raises(BookTamperedError, match="line"):
        Book(book_path)


async def test_a_line_of_another_book_does_not_follow(tmp_path: Path):
    """Sound in itself and with the right number, but of another chain."""
    for name in ("a", "b"):
        await write(tmp_path / name)
    mine, other = ((tmp_path / name).read_text().splitlines(keepends=True) for name in ("a", "b"))
    (tmp_path / "a").write_text("".join([*mine[:2], *other[2:]]))
    with pytest.raises(BookTamperedError, match="line 3"):
        verify(tmp_path / "a")


async def test_a_torn_last_line_was_never_acknowledged_and_is_dropped(book_path: Path):
    await write(book_path)
    whole = book_path.read_bytes()
    book_path.write_bytes(whole + b'{"seq":6,"at":"20')
    assert len(verify(book_path)) == 5
    await write(book_path, count=1)
    assert book_path.read_bytes().startswith(whole)
    assert len(verify(book_path)) == 6


async def test_durable_returns_only_when_the_line_is_in_the_file(book_path: Path):
    book = Book(book_path)

    async def one(number: int) -> None:
        entry = book.append("noted", number=number)
        await asyncio.sleep(0)
        await book.durable()
        assert entry.hash in book_path.read_text()

    await asyncio.gather(*(one(number) for number in range(200)))
    await book.close()
    assert len(verify(book_path)) == 200


async def test_those_who_wait_together_share_an_fsync(book_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    monkeypatch.setattr("simulators.book.os.fdatasync", synced.append)
    book = Book(book_path)
    for number in range(100):
        book.append("noted", number=number)
    await asyncio.gather(*(book.durable() for _ in range(100)))
    assert len(synced) == 1
    await book.close()


async def test_a_disk_that_refuses_fails_those_who_wait_and_all_after(book_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simulators.book.os.fdatasync", refuse)
    book = Book(book_path)
    book.append("noted")
    with pytest.raises(BookUnusableError, match="No space left"):
        await book.durable()
    with pytest.raises(BookUnusableError):
        book.append("noted")
    with pytest.raises(BookUnusableError):
        await book.durable()
    await book.close()


async def test_two_processes_never_share_a_book(book_path: Path):
    book = Book(book_path)
    with pytest.raises(BookUnusableError, match="held by another simulator"):
        Book(book_path)
    await book.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_restarted_carrier_remembers_all_it_answered(book_path: Path, number: int):
    sold, burnt, refused, in_flight = (new_order_id() for _ in range(4))
    bodies = {order_id: body_of(order_id) for order_id in (sold, refused, in_flight)}
    first = start("carrier", "--book", book_path)
    carrier = CarrierClient(first.url("carrier"))
    await carrier.fault(refused, {"kind": "refuse", "code": "PACKAGE_NOT_ALLOWED"})
    await carrier.fault(in_flight, {"kind": "async", "after_seconds": 0.5})
    views = {order_id: (await carrier.post(body)).json() for order_id, body in bodies.items()}
    await carrier.cancel(burnt)
    await carrier.http.aclose()
    first.stop(number)

    second = start("carrier", "--book", book_path)
    carrier = CarrierClient(second.url("carrier"))
    assert (await carrier.post(bodies[sold])).json() == views[sold]
    assert (await carrier.post(bodies[refused])).json() == views[refused]
    assert (await carrier.post(body_of(burnt))).json()["rejectionReason"]["code"] == "CANCELLED"
    assert (await carrier.post(body_of(sold, package="CT-DATA-1GB-30D"))).status_code == 409
    async with asyncio.timeout(WAIT_SECONDS):
        while await carrier.states(in_flight) != ["completed"]:  # it happens in another process
            await asyncio.sleep(0.02)
    summary = (await carrier.http.get("/book/summary")).json()
    assert {order_id: summary[order_id]["sold"] for order_id in (sold, burnt, refused, in_flight)} == {
        sold: 1,
        burnt: 0,
        refused: 0,
        in_flight: 1,
    }
    entries = (await carrier.http.get("/book")).json()
    later = (await carrier.http.get("/book", params={"after": 3})).json()
    assert later[: len(entries) - 3] == entries[3:]
    await carrier.http.aclose()
    assert second.stop()[0] == 0
    assert [json.loads(line)["seq"] for line in book_path.read_text().splitlines()] == [
        entry.seq for entry in verify(book_path)
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_simulator_ends_at_once_with_requests_that_hang(book_path: Path, number: int):
    simulator = start("carrier", "--book", book_path)
    carrier = CarrierClient(simulator.url("carrier"))
    hanging, slow = body_of(new_order_id()), body_of(new_order_id())
    await carrier.fault(hanging["externalId"], {"kind": "hang"})
    await carrier.fault(slow["externalId"], {"kind": "delay", "seconds": 600})
    calls = [asyncio.create_task(carrier.post(body)) for body in (hanging, slow)]
    async with asyncio.timeout(WAIT_SECONDS):
        while len(await carrier.kinds(slow["externalId"])) < 1:  # it happens in another process
            await asyncio.sleep(0.02)
    code, seconds = await asyncio.to_thread(simulator.stop, number)
    assert code == 0
    assert seconds < 5
    assert all(isinstance(end, Exception) for end in await asyncio.gather(*calls, return_exceptions=True))
    await carrier.http.aclose()
    verify(book_path)
