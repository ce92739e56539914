"""Edits forwards and backwards: whatever was changed, the reverse gives the bytes back."""

from __future__ import annotations

import io
import os
from io import BufferedReader
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.containers.edits import Edit, EditedFile, growth, inverse, pack, patched, tidy, unpack


def result(source: bytes, edits: tuple[Edit, ...]) -> bytes:
    return b"".join(patched([source], edits))


@st.composite
def changes(draw: st.DrawFn) -> tuple[bytes, list[Edit]]:
    source = draw(st.binary(max_size=300))
    cuts = sorted(draw(st.lists(st.integers(0, len(source)), max_size=12)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    edits = []
    for start, end in spans:
        same = draw(st.booleans())
        data = source[start:end] + draw(st.binary(max_size=5)) if same else draw(st.binary(max_size=40))
        edits.append(Edit(start, end, data))
    return source, draw(st.permutations(edits)) if len({edit.start for edit in edits}) == len(edits) else edits


@given(changes())
def test_the_reverse_of_any_change_gives_the_bytes_back(change: tuple[bytes, list[Edit]]) -> None:
    source, edits = change
    tidied = tidy(io.BytesIO(source), edits)
    new = result(source, tidied)
    assert len(new) - len(source) == growth(edits)
    reverse = unpack(pack(inverse(io.BytesIO(source), tidied)))
    assert result(new, reverse) == source


@given(changes())
def test_tidying_changes_nothing_in_the_result(change: tuple[bytes, list[Edit]]) -> None:
    source, edits = change
    in_order = tuple(sorted(edits, key=lambda edit: (edit.start, edit.end)))
    assert result(source, tidy(io.BytesIO(source), edits)) == result(source, in_order)


def test_bytes_that_stay_are_not_kept() -> None:
    source = b"a" * 1000 + b"old" + b"z" * 1000
    assert tidy(io.BytesIO(source), [Edit(0, 2003, b"a" * 1000 + b"new" + b"z" * 1000)]) == (Edit(1000, 1003, b"new"),)
    assert tidy(io.BytesIO(source), [Edit(5, 9, b"aaaa")]) == ()


def test_edits_that_overlap_or_leave_the_file_are_refused() -> None:
    for edits in ([Edit(0, 5, b""), Edit(4, 6, b"")], [Edit(8, 11, b"")]):
        with pytest.raises(ValueError, match="edits"):
            tidy(io.BytesIO(b"0123456789"), edits)
    with pytest.raises(ValueError, match="an edit from"):
        Edit(3, 2, b"")


@given(st.binary(max_size=60))
def test_what_is_no_patch_is_refused_in_one_way(data: bytes) -> None:
    edits = (Edit(3, 9, b"data" * 20),)
    assert unpack(pack(edits)) == edits
    damaged = pack(edits)[: len(data)] + data
    for packed in (data, damaged):
        try:
            unpack(packed)
        except ValueError:
            continue


def _some_edits(random: Random, size: int) -> list[Edit]:
    cuts = sorted(random.sample(range(size + 1), min(size + 1, 2 * random.randint(0, 4))))
    return [
        Edit(start, end, random.randbytes(random.randint(0, 5)))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    ]


@pytest.mark.parametrize("seed", range(200))
def test_an_edited_file_reads_as_if_it_were_made_and_further_edits_count_in_the_original(seed: int) -> None:
    random = Random(seed)
    data = random.randbytes(random.randint(0, 40))
    first = _some_edits(random, len(data))
    made = b"".join(patched([data], first))
    view = EditedFile(io.BytesIO(data), first)
    reader = BufferedReader(view)
    assert (reader.read(), reader.seek(0, os.SEEK_END)) == (made, len(made))
    place = random.randint(0, len(made))
    reader.seek(place)
    assert reader.read(7) == made[place : place + 7]
    second = _some_edits(random, len(made))
    both = tidy(io.BytesIO(data), view.original(second))
    assert b"".join(patched([data], both)) == b"".join(patched([made], second))
