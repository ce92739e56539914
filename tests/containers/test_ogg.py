"""Ogg: pages and packets, payload, and pages after an edit numbered without gaps and with right checksums."""

from __future__ import annotations

import io

import pytest

from music_reclass.containers.edits import inverse, pack, patched, tidy
from music_reclass.containers.ogg import FIRST, LAST, Ogg, Page, pages, parts
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Layout, Malformed
from tests.tagging.samples import sample, tagged


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
    container = Ogg(file, sniff(file))
    return b"".join(patched([data], tidy(file, container.splice(container.encode(genres)))))


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


def test_a_damaged_page_that_is_numbered_anew_stays_one_that_readers_drop() -> None:
    old = bytearray(tagged("opus"))
    damaged = list(pages(io.BytesIO(old), 0, len(old)))[-2]
    old[damaged.body + 7] ^= 4
    new = rewritten(bytes(old), "x" * 70_000)
    found = list(pages(io.BytesIO(new), 0, len(new)))
    sums = [new[one.start + 22 : one.start + 26] for one in found]
    right = [checksum(new[one.start : one.end]).to_bytes(4, "little") for one in found]
    assert [one == other for one, other in zip(sums, right, strict=True)] == [*[True] * (len(found) - 2), False, True]


def test_a_comment_on_a_damaged_page_is_read_and_never_written() -> None:
    data = tagged("vorbis").replace(b"A Title", b"a Title")
    file = io.BytesIO(data)
    container = Ogg(file, sniff(file))
    assert container.genre_field()
    with pytest.raises(Malformed, match="whose checksum is wrong"):
        container.splice(container.encode(["Rock"]))


@pytest.mark.parametrize("kind", ["vorbis", "opus", "vorbis full page"])
def test_a_longer_comment_costs_no_more_than_page_headers(kind: str) -> None:
    old = tagged(kind)
    file = io.BytesIO(old)
    edits = tidy(file, Ogg(file, sniff(file)).splice((("comment", b"GENRE=Rocksteady"),)))
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


def test_pages_lie_side_by_side() -> None:
    data = sample("vorbis")
    found = list(pages(io.BytesIO(data), 0, len(data)))
    assert found[0].kind & FIRST
    assert found[-1].kind & LAST
    assert [page.start for page in found[1:]] == [page.end for page in found[:-1]]
    assert found[-1].end == len(data)


def test_parts_know_where_packets_end() -> None:
    page = Page(0, 0, 0, 1, 0, bytes([255, 3, 0, 255]))
    assert [(ends, end - start) for start, end, ends in parts(page)] == [(True, 258), (True, 0), (False, 255)]


def test_refuse_between_pages_ends_the_pages_and_not_the_digest() -> None:
    data = sample("opus")
    last = list(pages(io.BytesIO(data), 0, len(data)))[-1].start
    broken = data[:last] + b"refuse" + data[last:]
    with pytest.raises(Malformed):
        list(pages(io.BytesIO(broken), 0, len(broken)))
    spans = [
        piece for piece in Ogg(io.BytesIO(broken), Layout("ogg", 0, len(broken))).payload() if isinstance(piece, tuple)
    ]
    assert spans[-1] == (last, len(broken))


@pytest.mark.parametrize("cut", [10, 27, 40, -5])
def test_a_page_cut_short_is_malformed(cut: int) -> None:
    data = sample("vorbis")[:cut]
    with pytest.raises(Malformed):
        list(pages(io.BytesIO(data), 0, len(data)))
