"""Ogg pages after an edit: numbered without gaps, with right checksums, in whatever number they are needed."""

from __future__ import annotations

import io

import pytest

from music_reclass.containers import ogg
from music_reclass.containers.edits import inverse, pack, patched, tidy
from music_reclass.containers.ogg import pages
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import tagged


def checksum(page: bytes) -> int:
    """Ogg's CRC, bit by bit as the specification says it."""
    value = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & 0xFFFFFFFF
    return value


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    layout = sniff(file)
    edits = tidy(file, ogg.splice(file, layout, ogg.encode(file, layout, genres)))
    return b"".join(patched(file, edits))


@pytest.mark.parametrize(
    ("kind", "genre"),
    [("vorbis", "Rock"), ("opus", "Rock"), ("vorbis full page", "Rock " * 30), ("opus", "x" * 70_000)],
)
def test_pages_are_numbered_and_summed_as_they_should_be(kind: str, genre: str) -> None:
    old = tagged(kind)
    new = rewritten(old, genre)
    found = list(pages(io.BytesIO(new), 0, len(new)))
    assert [page.sequence for page in found] == list(range(len(found)))
    for page in found:
        assert int.from_bytes(new[page.start + 22 : page.start + 26], "little") == checksum(new[page.start : page.end])
    before = list(pages(io.BytesIO(old), 0, len(old)))
    assert (len(found) > len(before)) == (len(genre) > 60_000)
    assert [page.granule for page in found][-3:] == [page.granule for page in before][-3:]


@pytest.mark.parametrize("kind", ["vorbis", "opus", "vorbis full page"])
def test_a_longer_comment_costs_no_more_than_page_headers(kind: str) -> None:
    old = tagged(kind)
    file = io.BytesIO(old)
    edits = tidy(file, ogg.splice(file, sniff(file), (("comment", b"GENRE=Rocksteady"),)))
    assert len(pack(inverse(file, edits))) < 1000  # of 40 KB of comment


def test_the_second_link_of_a_chain_keeps_its_numbers() -> None:
    link = tagged("opus")
    other = bytearray(tagged("vorbis"))
    new = rewritten(link + bytes(other), "x" * 70_000)
    assert new.endswith(bytes(other))


@pytest.mark.parametrize("damage", ["codec", "page", "short", "interleaved"])
def test_what_is_no_plain_stream_is_refused(damage: str) -> None:
    data = tagged("vorbis")
    first = next(pages(io.BytesIO(data), 0, len(data)))
    broken = {
        "codec": data.replace(b"\x01vorbis", b"\x01unknow"),
        "page": data[: first.end] + b"gap" + data[first.end :],
        "short": data[: first.end + 40],
        "interleaved": data[: first.end] + data[: first.end] + data[first.end :],
    }[damage]
    with pytest.raises(Malformed):
        rewritten(broken, "Rock")
