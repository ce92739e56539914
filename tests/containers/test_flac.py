"""FLAC: metadata blocks, payload, and padding that takes up the difference, so that the sound need not move."""

from __future__ import annotations

import io
from itertools import pairwise

import mutagen.flac
import pytest

from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.flac import PADDING, STREAMINFO, VORBIS_COMMENT, Flac
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Element, Layout, Malformed
from tests.tagging.samples import sample, tagged


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    container = Flac(file, sniff(file))
    raw = container.encode(genres) if genres else ()
    return b"".join(patched([data], tidy(file, container.splice(raw))))


def blocks(data: bytes) -> list[Element]:
    return Flac(io.BytesIO(data), Layout("flac", 0, len(data))).blocks


def types(data: bytes) -> list[bytes]:
    return [block.name for block in blocks(data)]


def padding(data: bytes) -> int:
    return next(one.end - one.body for one in blocks(data) if one.name == PADDING)


@pytest.mark.parametrize("genre", ["Electronic", "Pop"])
def test_padding_takes_up_the_difference(genre: str) -> None:
    old = tagged("flac", ("Other",))
    new = rewritten(old, genre)
    assert len(new) == len(old)
    assert padding(new) == padding(old) - (len(genre) - len("Other"))


def test_padding_can_be_used_to_its_last_byte_and_no_further() -> None:
    old = tagged("flac", ("Other",))
    room = padding(old)
    full = rewritten(old, "x" * (5 + room))
    assert (len(full), padding(full)) == (len(old), 0)
    longer = rewritten(old, "x" * (6 + room))
    assert (len(longer), padding(longer)) == (len(old) + room + 1, room)
    assert mutagen.flac.FLAC(io.BytesIO(longer))["genre"] == ["x" * (6 + room)]


def bare(data: bytes) -> bytes:
    """A stream with STREAMINFO as its only block."""
    found = blocks(data)
    return b"fLaC\x80" + data[5:42] + data[found[-1].end :]


def test_a_stream_without_comments_gets_a_new_block() -> None:
    old = bare(sample("flac"))
    new = rewritten(old, "Rock")
    assert types(new) == [STREAMINFO, VORBIS_COMMENT]
    assert mutagen.flac.FLAC(io.BytesIO(new))["genre"] == ["Rock"]
    assert rewritten(old) == old


def test_a_comment_too_large_for_its_block_is_refused() -> None:
    with pytest.raises(Malformed):
        rewritten(tagged("flac"), "x" * (1 << 24))


def test_blocks_lie_side_by_side_and_the_frames_follow() -> None:
    data = tagged("flac")
    found = blocks(data)
    assert (found[0].name, found[0].start, found[0].end) == (STREAMINFO, 4, 42)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert data[found[-1].end] == 0xFF  # the first frame
    assert list(Flac(io.BytesIO(data), Layout("flac", 0, len(data))).payload()) == [(8, 42), (found[-1].end, len(data))]


@pytest.mark.parametrize("data", [b"fLaX" + bytes(40), b"fLaC\x00\xff\xff\xff", b"fLaC\x81\0\0\0", sample("flac")[:30]])
def test_what_is_no_stream_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        blocks(data)
