"""The objects of ASF."""

from __future__ import annotations

import io

import pytest

from music_reclass.containers.asf import DATA, HEADER, objects, pieces
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import sample


def test_a_file_is_a_header_and_data() -> None:
    data = sample("wma")
    found = list(objects(io.BytesIO(data), 0, len(data)))
    assert [one.kind for one in found[:2]] == [HEADER, DATA]
    assert list(pieces(io.BytesIO(data), 0, len(data))) == [(found[1].body, found[1].end)]


def test_data_cut_short_end_with_the_file() -> None:
    data = sample("wma")[:-50]
    (span,) = pieces(io.BytesIO(data), 0, len(data))
    assert span[1] == len(data)


def test_refuse_behind_the_data_is_not_looked_at() -> None:
    data = sample("wma")
    plain, more = io.BytesIO(data), io.BytesIO(data + b"TAG" + bytes(125))
    assert list(pieces(more, 0, len(data) + 128)) == list(pieces(plain, 0, len(data)))


@pytest.mark.parametrize("size", [0, 23, 1 << 63])
def test_an_object_of_impossible_size_is_malformed(size: int) -> None:
    data = HEADER + size.to_bytes(8, "little") + bytes(100)
    with pytest.raises(Malformed):
        list(objects(io.BytesIO(data), 0, len(data)))
