"""What every provider's bills have in common: fetching a large file, columns by heading, amounts, totals that agree."""

import asyncio
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import httpx

from reconciliation.evidence import BillLine
from reconciliation.ports import NotWhole

BATCH_LINES: Final = 2_000
"""Some 1 MiB in memory, and a transaction of some 100 ms."""
ASK_SECONDS: Final = 20.0
"""For a bill's address; above the providers' slowest answers, and the next run asks again."""
DOWNLOAD_SECONDS: Final = 300.0
"""For the largest bill that is taken, at 1 MiB/s."""
MAX_PACKED_BYTES: Final = 256 * 1024 * 1024
"""It stands in /tmp, which the deployments give that much of (deploy/)."""
MAX_UNPACKED_BYTES: Final = 4 * 1024 * 1024 * 1024
"""A million lines are some 300 MB; what unpacks to more than this is no bill."""
MAX_LINE_BYTES: Final = 64 * 1024
"""A line has some 300 bytes; what is longer is no bill."""
_CHUNK_BYTES: Final = 1024 * 1024
_AMOUNT: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,2})0*)?")
MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_REFERENCE: Final = re.compile(r"[!-~]{1,64}")
_REFUND_NUMBER: Final = re.compile(r"[!-~]{1,96}")


async def download(http: httpx.AsyncClient, request: httpx.Request, to: Path, *, whom: str) -> None:
    """Fetch a file. Nothing of it is believed yet.

    Raises:
        NotWhole: it didn't come, or not whole; the link has run out by then.
    """
    limits = httpx.Timeout(ASK_SECONDS)
    request.extensions["timeout"] = limits.as_dict()
    size = 0
    try:
        async with asyncio.timeout(DOWNLOAD_SECONDS):
            response = await http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                if not response.is_success:
                    raise NotWhole(f"{whom} answered HTTP {response.status_code} to the bill's download; run it again.")
                if "," in response.headers.get("content-encoding", ""):  # each multiplies what a chunk unpacks to
                    raise NotWhole(f"{whom}'s bill comes packed more than once on its way; see which proxy does that.")
                with to.open("wb") as file:
                    async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                        size += len(chunk)
                        if size > MAX_PACKED_BYTES:
                            raise NotWhole(f"{whom}'s bill is larger than {MAX_PACKED_BYTES} bytes, which no bill is.")
                        await asyncio.to_thread(file.write, chunk)
            finally:
                await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        raise NotWhole(f"{whom}'s bill could not be downloaded ({type(error).__name__}); run it again.") from error


@dataclass(frozen=True, slots=True)
class Digests:
    """Of a file's bytes, unpacked."""

    sha1: str
    sha256: str
    size_bytes: int


def digests(file: IO[bytes], whom: str) -> Digests:
    """Read it to its end.

    Raises:
        NotWhole: it unpacks to more than any bill has.
    """
    sha1, sha256, size = hashlib.sha1(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_UNPACKED_BYTES:
            raise NotWhole(f"{whom}'s bill unpacks to more than {MAX_UNPACKED_BYTES} bytes, which no bill does.")
        sha1.update(chunk)
        sha256.update(chunk)
    return Digests(sha1.hexdigest(), sha256.hexdigest(), size)


def text_lines(file: IO[bytes], encoding: str, whom: str) -> Iterator[str]:
    """Its lines without their ends; a byte order mark at the head is none of the text.

    Raises:
        NotWhole: it isn't in this encoding, or has a line that no bill has.
    """
    first = True
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise NotWhole(f"{whom}'s bill has a line of more than {MAX_LINE_BYTES} bytes; its format has changed.")
        try:
            text = line.decode(encoding)
        except UnicodeError:
            raise NotWhole(f"{whom}'s bill is not in {encoding}; its format has changed.") from None
        yield (text.removeprefix("\ufeff") if first else text).rstrip("\r\n")
        first = False


class Columns:
    """Where each column of a bill stands, by its heading.

    Raises (`__init__`, `place`):
        NotWhole: a heading is lacking, or comes twice.
    """

    def __init__(self, headings: Sequence[str], whom: str) -> None:
        self._places = {heading: place for place, heading in enumerate(headings)}
        self._whom = whom
        self.count = len(headings)
        if len(self._places) != self.count:
            raise NotWhole(f"{whom}'s bill has a column twice; its format has changed.")

    def place(self, *names: str) -> int:
        """Of the first of these headings that is there."""
        found = [self._places[name] for name in names if name in self._places]
        if not found:
            raise NotWhole(f"{self._whom}'s bill has no column {' or '.join(names)}; its format has changed.")
        return found[0]

    def __contains__(self, name: str) -> bool:
        return name in self._places


def fen_of(text: str) -> int | None:
    """A bill's amount in yuan (`99.00`, `45.0`, `-0.5`) as fen; None for what is none. Never a float."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return None
    fen = int(found[2]) * 100 + int((found[3] or "").ljust(2, "0"))
    return -fen if found[1] else fen


def bill_line(
    kind: str, transaction_id: str, out_trade_no: str, amount_fen: int | None, at: str, *, number: str, whom: str
) -> BillLine:
    """A line whose members have the form that they must have.

    Raises:
        NotWhole: one has not.
    """
    flaw = (
        "transaction number"
        if _REFERENCE.fullmatch(transaction_id) is None
        else "order number"
        if out_trade_no and _REFERENCE.fullmatch(out_trade_no) is None
        else "amount"
        if amount_fen is None or amount_fen < 1
        else "time"
        if MOMENT.fullmatch(at) is None
        else "refund number"
        if kind == "refund" and _REFUND_NUMBER.fullmatch(number) is None
        else ""
    )
    if flaw or amount_fen is None:
        raise NotWhole(f"{whom}'s bill has a {kind} whose {flaw} has another form; its format has changed.")
    if kind == "payment":
        return BillLine("payment", transaction_id, out_trade_no, amount_fen, at)
    return BillLine("refund", transaction_id, out_trade_no, amount_fen, at, number)


def in_batches(lines: Iterable[BillLine]) -> Iterator[list[BillLine]]:
    """Some at a time."""
    source = iter(lines)
    while batch := list(itertools.islice(source, BATCH_LINES)):
        yield batch


def agree(whom: str, **pairs: tuple[object, object]) -> None:
    """Compare what was counted with what the bill says of itself: name → (counted, said).

    Raises:
        NotWhole: one differs.
    """
    for name, (counted, said) in pairs.items():
        if counted != said:
            what = name.replace("_", " ")
            raise NotWhole(f"{whom}'s bill doesn't agree with itself: its {what} is {said}, its lines give {counted}.")
