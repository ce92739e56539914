"""Every format under damage: a contradiction is refused, and whatever is edited comes back to the byte."""

from __future__ import annotations

import io
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.containers import FORMATS
from music_reclass.containers.edits import Container, Edit, inverse, pack, patched, tidy, unpack
from music_reclass.containers.sniff import PayloadReader, sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import KINDS, tagged

FILE = cache(tagged)
GENRES = st.lists(
    st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"]), min_size=1, max_size=300),
    min_size=1,
    max_size=4,
)


def container_of(data: bytes) -> Container | None:
    """None for what reclass writes no tags to."""
    file = io.BytesIO(data)
    layout = sniff(file)
    known = layout.container in FORMATS and not layout.malformed
    return FORMATS[layout.container](file, layout) if known else None


def digest_of(data: bytes) -> bytes:
    reader = PayloadReader(io.BytesIO(data))
    assert b"".join(reader) == data
    return reader.digest()


def edited(data: bytes, edits: tuple[Edit, ...]) -> bytes:
    return b"".join(patched([data], edits))


@pytest.mark.parametrize("kind", KINDS)
@given(GENRES, GENRES)
@settings(max_examples=4, deadline=None)
def test_any_genres_are_read_back_and_undone_and_the_digest_never_sees_them(
    kind: str, first: list[str], then: list[str]
) -> None:
    old = FILE(kind)
    data, steps = old, []
    for genres in (first, then):
        container = container_of(data)
        assert container is not None
        edits = tidy(io.BytesIO(data), container.splice(container.encode(genres)))
        new = edited(data, edits)
        again = container_of(new)
        assert again is not None
        assert again.genre_field() == container.encode(genres)
        assert digest_of(new) == digest_of(old)
        steps.append(unpack(pack(inverse(io.BytesIO(data), edits))))
        data = new
    for step in reversed(steps):
        data = edited(data, step)
    assert data == old


@pytest.mark.parametrize("kind", KINDS)
def test_a_genre_that_is_taken_out_leaves_no_trace_in_the_digest(kind: str) -> None:
    old = FILE(kind)
    container = container_of(old)
    assert container is not None
    edits = tidy(io.BytesIO(old), container.splice(()))
    new = edited(old, edits)
    found = container_of(new)
    assert found is not None
    assert found.genre_field() == ()
    assert digest_of(new) == digest_of(old)
    assert edited(new, inverse(io.BytesIO(old), edits)) == old


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@settings(max_examples=6, deadline=None)
def test_a_damaged_file_is_refused_or_edited_in_a_way_that_can_be_undone(kind: str, data: st.DataObject) -> None:
    old = bytearray(FILE(kind))
    for _ in range(data.draw(st.integers(1, 2))):
        front = data.draw(st.booleans())
        at = data.draw(st.integers(0, min(600, len(old) - 1)))
        lie = data.draw(st.sampled_from([b"\xff", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"\0\0\x10"]))
        at = at if front else len(old) - 1 - at
        old[at : at + len(lie)] = lie
    damaged = bytes(old[: data.draw(st.sampled_from([len(old), len(old) // 2, len(old) - 1, 64]))])
    try:
        container = container_of(damaged)
        if container is None:
            return
        edits = tidy(io.BytesIO(damaged), container.splice(container.encode(["Rock", "Jazz"])))
    except Malformed:
        return
    new = edited(damaged, edits)
    assert edited(new, inverse(io.BytesIO(damaged), edits)) == damaged


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=9)), max_size=6))
def test_insertions_alone_come_in_their_order(source: bytes, wanted: list[tuple[int, bytes]]) -> None:
    inside = sorted(((at, data) for at, data in wanted if at <= len(source)), key=lambda pair: pair[0])
    edits = tuple(Edit(at, at, data) for at, data in inside)
    expected, before = b"", 0
    for at, data in inside:
        expected, before = expected + source[before:at] + data, at
    assert edited(source, edits) == expected + source[before:]


@given(st.binary(min_size=1, max_size=120), st.integers(1, 40), st.integers(0, 120), st.binary(max_size=20))
def test_a_file_may_come_in_pieces_of_any_size(source: bytes, piece: int, at: int, data: bytes) -> None:
    start = min(at, len(source))
    edits = (Edit(start, min(start + 7, len(source)), data), Edit(len(source), len(source), b"end"))
    pieces = [source[first : first + piece] for first in range(0, len(source), piece)]
    assert b"".join(patched(pieces, edits)) == edited(source, edits)


def test_an_edit_behind_the_end_of_what_comes_is_malformed() -> None:
    for edits in ((Edit(3, 9, b"x"),), (Edit(6, 6, b"x"),), (Edit(0, 1, b"y"), Edit(9, 9, b"x"))):
        with pytest.raises(Malformed, match="behind the end"):
            edited(b"01234", edits)


@pytest.mark.parametrize("packed", [b"", b"RP1", b"RP2" + pack((Edit(0, 1, b"x"),))[3:], b"ID3", pack(())[:-1]])
def test_what_the_journal_never_wrote_is_no_patch(packed: bytes) -> None:
    with pytest.raises(ValueError, match="patch"):
        unpack(packed)
    assert unpack(pack(())) == ()
