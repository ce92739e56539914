"""The blocks of a FLAC stream."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest

from music_reclass.containers.flac import STREAMINFO, blocks, pieces
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import sample, tagged


def test_blocks_lie_side_by_side_and_the_frames_follow() -> None:
    data = tagged("flac")
    found = blocks(io.BytesIO(data), 0, len(data))
    assert (found[0].kind, found[0].start, found[0].end) == (STREAMINFO, 4, 42)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert data[found[-1].end] == 0xFF  # the first frame
    assert list(pieces(io.BytesIO(data), 0, len(data))) == [(8, 42), (found[-1].end, len(data))]


@pytest.mark.parametrize("data", [b"fLaX" + bytes(40), b"fLaC\x00\xff\xff\xff", b"fLaC\x81\0\0\0", sample("flac")[:30]])
def test_what_is_no_stream_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        blocks(io.BytesIO(data), 0, len(data))
