"""FLAC: padding takes up the difference, so that the sound need not move."""

from __future__ import annotations

import io

import mutagen.flac
import pytest

from music_reclass.containers import flac
from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.flac import PADDING, VORBIS_COMMENT, blocks
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import sample, tagged


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    layout = sniff(file)
    raw = flac.encode(file, layout, genres) if genres else ()
    return b"".join(patched(file, tidy(file, flac.splice(file, layout, raw))))


def kinds(data: bytes) -> list[int]:
    return [block.kind for block in blocks(io.BytesIO(data), 0, len(data))]


def padding(data: bytes) -> int:
    return next(one.end - one.start - 4 for one in blocks(io.BytesIO(data), 0, len(data)) if one.kind == PADDING)


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
    found = blocks(io.BytesIO(data), 0, len(data))
    return b"fLaC\x80" + data[5:42] + data[found[-1].end :]


def test_a_stream_without_comments_gets_a_block_of_its_own() -> None:
    old = bare(sample("flac"))
    new = rewritten(old, "Rock")
    assert kinds(new) == [0, VORBIS_COMMENT]
    assert mutagen.flac.FLAC(io.BytesIO(new))["genre"] == ["Rock"]
    assert rewritten(old) == old


def test_a_comment_too_large_for_its_block_is_refused() -> None:
    with pytest.raises(Malformed):
        rewritten(tagged("flac"), "x" * (1 << 24))
