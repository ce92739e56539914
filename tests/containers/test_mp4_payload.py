"""The atoms of MP4."""

from __future__ import annotations

import io
import struct

import pytest

from music_reclass.containers.mp4 import atoms, pieces
from music_reclass.containers.structure import Malformed


def atom(name: bytes, content: bytes, *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, name, len(content) + 16) + content
    return struct.pack(">I4s", len(content) + 8, name) + content


def test_atoms_of_every_size_field_are_walked() -> None:
    data = atom(b"ftyp", b"M4A ") + atom(b"mdat", b"one", long=True) + struct.pack(">I4s", 0, b"mdat") + b"two"
    found = list(atoms(io.BytesIO(data), 0, len(data)))
    assert [(one.name, data[one.body : one.end]) for one in found] == [
        (b"ftyp", b"M4A "),
        (b"mdat", b"one"),
        (b"mdat", b"two"),
    ]
    assert [data[start:end] for start, end in pieces(io.BytesIO(data), 0, len(data))] == [b"one", b"two"]


def test_media_cut_short_end_with_the_file_and_nothing_else_may() -> None:
    data = atom(b"mdat", b"a long one")[:-4]
    assert list(pieces(io.BytesIO(data), 0, len(data))) == [(8, len(data))]
    data = atom(b"moov", b"a long one")[:-4]
    with pytest.raises(Malformed):
        list(atoms(io.BytesIO(data), 0, len(data)))


@pytest.mark.parametrize("size", [2, 7])
def test_an_atom_smaller_than_its_header_is_malformed(size: int) -> None:
    data = struct.pack(">I4s", size, b"free") + bytes(20)
    with pytest.raises(Malformed):
        list(atoms(io.BytesIO(data), 0, len(data)))
