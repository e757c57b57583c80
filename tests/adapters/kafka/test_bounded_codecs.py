"""A small record that becomes a large one stops its partition and ends no process."""

import gzip
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard
from kafka.errors import CorruptRecordError
from kafka.record import default_records

from adapters.kafka import bounded_codecs, clients, limits

CODECS = {
    "gzip": (gzip.compress, "gzip_decode"),
    "lz4": (lz4.frame.compress, "lz4_decode"),
    "zstd": (zstandard.ZstdCompressor().compress, "zstd_decode"),
}


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_within_the_limit_is_as_it_was(codec: str) -> None:
    compress, decode = CODECS[codec]
    for data in (b"", b"x" * 1000, bytes(range(256)) * 10_000):
        assert getattr(bounded_codecs, decode)(memoryview(compress(data))) == data


@pytest.mark.parametrize("codec", CODECS)
def test_what_becomes_too_large_is_refused(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compress, decode = CODECS[codec]
    monkeypatch.setattr(limits, "BATCH_BYTES", 100_000)
    bounded: Callable[[bytes], bytes] = getattr(bounded_codecs, decode)
    assert len(bounded(compress(bytes(100_000)))) == 100_000
    with pytest.raises(bounded_codecs.BatchTooLarge, match="more than 100000 bytes"):
        bounded(compress(bytes(100_001)))
    with pytest.raises(bounded_codecs.BatchTooLarge):
        bounded(compress(bytes(50_000_000)))


def test_gzip_members_count_together_and_a_stream_that_ends_early_is_corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BATCH_BYTES", 100)
    assert bounded_codecs.gzip_decode(gzip.compress(b"ab") + gzip.compress(b"c")) == b"abc"
    with pytest.raises(bounded_codecs.BatchTooLarge):
        bounded_codecs.gzip_decode(gzip.compress(bytes(60)) * 2)
    with pytest.raises(CorruptRecordError):
        bounded_codecs.gzip_decode(gzip.compress(bytes(60))[:-9])


def test_every_consumer_of_ours_has_them() -> None:
    assert clients.reader
    for _, decode in CODECS.values():
        assert getattr(default_records, decode) is getattr(bounded_codecs, decode)
