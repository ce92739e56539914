"""Vorbis comments: other entries, and whatever follows the list, keep their bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.containers.structure import Malformed
from music_reclass.containers.vorbis import Comment


def comment(*entries: bytes, vendor: bytes = b"somebody") -> bytes:
    body = b"".join(struct.pack("<I", len(entry)) + entry for entry in entries)
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(entries)) + body


def rewritten(data: bytes, *genres: str) -> bytes:
    parsed = Comment(data)
    out = bytearray(data)
    for edit in sorted(parsed.splice(parsed.encode(genres)), key=lambda edit: (-edit.start, -edit.end)):
        out[edit.start : edit.end] = edit.data
    return bytes(out)


def test_the_spelling_and_the_place_of_the_key_are_kept() -> None:
    data = comment(b"TITLE=a", b"gEnRe=Other", b"ARTIST=b", b"GENRE=Misc") + b"\x01"
    assert rewritten(data, "Rock", "Jazz") == comment(b"TITLE=a", b"gEnRe=Rock", b"gEnRe=Jazz", b"ARTIST=b") + b"\x01"


def test_a_new_entry_comes_last() -> None:
    assert rewritten(comment(b"TITLE=a") + b"tail", "Rock") == comment(b"TITLE=a", b"GENRE=Rock") + b"tail"
    assert rewritten(comment(), "Rock") == comment(b"GENRE=Rock")


def test_no_genres_remove_the_key_itself() -> None:
    assert rewritten(comment(b"GENRE=Other", b"TITLE=a")) == comment(b"TITLE=a")


def test_entries_that_are_no_text_are_kept() -> None:
    strange = (b"\xff\xfe", b"no equals sign", b"", b"=x", b"GENRE", b"GENRES=no")
    assert rewritten(comment(*strange), "Rock") == comment(*strange, b"GENRE=Rock")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_comment_or_malformed(data: bytes) -> None:
    try:
        raw = Comment(data).genre_field()
    except Malformed:
        return
    assert all(entry[:6].upper() == b"GENRE=" for _, entry in raw)


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff\xff", comment(b"a=b")[:-1], comment()[:-4] + b"\xff\xff\xff\x7f"])
def test_a_comment_cut_short_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Comment(data)
