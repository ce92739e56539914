"""Pages and packets of Ogg."""

from __future__ import annotations

import io

import pytest

from music_reclass.containers.ogg import FIRST, LAST, Page, pages, parts, pieces
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import sample


def test_pages_lie_side_by_side() -> None:
    data = sample("vorbis")
    found = list(pages(io.BytesIO(data), 0, len(data)))
    assert found[0].kind & FIRST
    assert found[-1].kind & LAST
    assert [page.start for page in found[1:]] == [page.end for page in found[:-1]]
    assert found[-1].end == len(data)


def test_parts_know_where_packets_end() -> None:
    page = Page(0, 0, 0, 1, 0, bytes([255, 3, 0, 255]))
    assert [(part.number, part.ends, part.end - part.start) for part in parts(page, 5)] == [
        (5, True, 258),
        (6, True, 0),
        (7, False, 255),
    ]


def test_refuse_between_pages_ends_the_pages_and_not_the_digest() -> None:
    data = sample("opus")
    last = list(pages(io.BytesIO(data), 0, len(data)))[-1].start
    broken = data[:last] + b"refuse" + data[last:]
    with pytest.raises(Malformed):
        list(pages(io.BytesIO(broken), 0, len(broken)))
    spans = [piece for piece in pieces(io.BytesIO(broken), 0, len(broken)) if isinstance(piece, tuple)]
    assert spans[-1] == (last, len(broken))


@pytest.mark.parametrize("cut", [10, 27, 40, -5])
def test_a_page_cut_short_is_malformed(cut: int) -> None:
    data = sample("vorbis")[:cut]
    with pytest.raises(Malformed):
        list(pages(io.BytesIO(data), 0, len(data)))
