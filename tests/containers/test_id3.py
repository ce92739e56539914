"""The ID3 splicer on tags that other programs get wrong, or that are rarely seen."""

from __future__ import annotations

import io
import struct

import mutagen.id3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.id3 import UNSYNCHRONISED, Tag, encode, heads_end
from music_reclass.containers.id3 import syncsafe as parsed_size
from music_reclass.containers.structure import Malformed


def syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def tag(version: int, body: bytes, flags: int = 0) -> bytes:
    return b"ID3" + bytes([version, 0, flags]) + syncsafe(len(body)) + body


def frame(name: bytes, body: bytes, flags: bytes = b"\0\0") -> bytes:
    return name + struct.pack(">I", len(body)) + flags + body


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    parsed = Tag(data)
    edits = tidy(file, parsed.splice(parsed.encode(genres) if genres else ()))
    return b"".join(patched([data], edits))


def read(data: bytes) -> mutagen.id3.ID3:
    return mutagen.id3.ID3(io.BytesIO(data), translate=False)


TITLE = frame(b"TIT2", b"\0A Title")


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("genres", [("Rock",), ("Rock", "Jazz"), ("Übergröße", "日本")])
def test_the_tag_library_reads_the_frame_in_each_version(version: int, genres: tuple[str, ...]) -> None:
    new = read(rewritten(tag(version, TITLE + bytes(10)), *genres))
    assert tuple(new["TCON"].genres) == genres
    assert new.version == (2, version, 0)
    assert new["TIT2"].text == ["A Title"]


def test_padding_is_used_before_the_tag_grows() -> None:
    data = tag(4, TITLE + bytes(15))
    assert len(rewritten(data, "Rock")) == len(data)  # the frame takes exactly 15 bytes
    grown = rewritten(data, "Rocks")
    assert len(grown) == len(data) + 1 + 1024
    assert Tag(grown).end == len(grown)


def test_a_shorter_genre_leaves_more_padding() -> None:
    data = tag(3, TITLE + frame(b"TCON", b"\0A Very Long Genre") + bytes(5))
    new = rewritten(data, "Pop")
    assert len(new) == len(data)
    assert read(new)["TCON"].genres == ["Pop"]


def test_several_genre_frames_become_one_and_come_back() -> None:
    data = tag(4, frame(b"TCON", b"\x03One") + TITLE + frame(b"TCON", b"\x03Two"))
    new = rewritten(data, "Rock")
    assert len(Tag(new).genres) == 1
    assert Tag(data).genre_field() == (("TCON/4", b"\0\0\x03One"), ("TCON/4", b"\0\0\x03Two"))
    restored = b"".join(patched([new], tidy(io.BytesIO(new), Tag(new).splice(Tag(data).genre_field()))))
    assert Tag(restored).genre_field() == Tag(data).genre_field()


def test_a_tag_that_loses_its_last_frame_goes() -> None:
    data = tag(4, frame(b"TCON", b"\x03Rock") + bytes(20))
    assert rewritten(data) == b""
    assert read(rewritten(tag(4, frame(b"TCON", b"\x03Rock") + TITLE))).keys() == {"TIT2"}


def test_plain_sizes_in_id3v24_as_old_itunes_wrote_them() -> None:
    lyrics = frame(b"USLT", b"\0eng\0" + b"la " * 100)
    data = tag(4, lyrics + TITLE + bytes(30))
    assert Tag(data).plain_sizes
    new = rewritten(data, "Rock" * 40)  # long enough for the two ways of writing sizes to differ
    assert read(new)["TCON"].genres == ["Rock" * 40]
    assert read(new)["USLT::eng"].text == "la " * 100


def test_an_extended_header_is_kept_and_says_the_new_padding() -> None:
    extended = struct.pack(">IHI", 6, 0, 40)
    data = tag(3, extended + TITLE + bytes(40), 0x40)
    new = rewritten(data, "Rock")
    assert struct.unpack(">IHI", new[10:20]) == (6, 0, 40 - 15)
    assert read(new)["TCON"].genres == ["Rock"]
    newer = tag(4, b"\0\0\0\x06\x01\0" + TITLE + bytes(40), 0x40)
    assert rewritten(newer, "Rock")[10:16] == newer[10:16]


def test_a_flag_without_its_extended_header_is_survived() -> None:
    assert read(rewritten(tag(3, TITLE + bytes(40), 0x40), "Rock"))["TCON"].genres == ["Rock"]


def test_a_footer_says_the_new_size() -> None:
    body = TITLE + frame(b"TCON", b"\x03Other")
    data = tag(4, body, 0x10) + b"3DI\x04\0\x10" + syncsafe(len(body))
    new = rewritten(data, "Electronic")
    assert new[-10:] == b"3DI" + new[3:10]
    assert len(new) == 20 + len(body) + 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3\x04\0\0",
        tag(5, TITLE),
        tag(2, b"TT2\0\0\x02\0a", 0x40),
        tag(3, struct.pack(">IHII", 10, 0x8000, 0, 0) + TITLE, 0x40),
        tag(4, b"\0\0\0\x0b\x01\x20" + bytes(5) + TITLE, 0x40),
        tag(4, TITLE + b"junk behind the frames"),
        tag(3, frame(b"TIT2", b"x")[:-1] + b"\xff\xff"),
        tag(3, b"TIT2" + struct.pack(">I", 1 << 30) + b"\0\0"),
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        b"ID3\x04\0\0\0\0\0\xff" + bytes(255),
    ],
)
def test_what_does_not_add_up_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        rewritten(data, "Rock")


def test_a_field_of_another_version_is_refused() -> None:
    with pytest.raises(Malformed, match="another kind"):
        Tag(tag(4, TITLE)).splice(encode(["Rock"], 3))


def others(data: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of each frame but the genre."""
    parsed = Tag(data)
    through_all = parsed.flags & UNSYNCHRONISED and parsed.version < 4
    contents = [(frame.name, data[frame.body : frame.end]) for frame in parsed.frames if frame.name != b"TCON"]
    return [(name, one.replace(b"\xff\x00", b"\xff") if through_all else one) for name, one in contents]


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1), max_size=4),
    genres=st.lists(st.sampled_from(["Rock", "Jazz", "ÿþ ✓"]), min_size=1, max_size=3, unique=True),
)
def test_unsynchronised_tags_keep_every_other_frame(texts: list[str], genres: list[str]) -> None:
    import re

    body = b"".join(frame(b"TXXX", b"\x01" + f"{number}\0{text}".encode("utf-16")) for number, text in enumerate(texts))
    body += frame(b"PRIV", b"a\0\xff\xff\x00\xff\xe0\xff") + frame(b"TCON", b"\x01" + "Alt".encode("utf-16"))
    stored = re.sub(rb"\xff(?=[\xe0-\xff\0]|$)", b"\xff\0", body, flags=re.DOTALL)
    data = tag(3, stored + bytes(9), 0x80)
    new = rewritten(data, *genres)
    assert others(new) == others(data)
    assert read(new)["TCON"].genres == genres
    assert b"PRIV" in new


def test_heads_are_counted_with_their_footers() -> None:
    head = b"ID3\x03\0\0\0\0\0\x05" + bytes(5)
    stream, footed = b"stream" * 50, b"ID3\x04\0\x10\0\0\0\x05" + bytes(15)
    data = head + footed + stream
    assert heads_end(io.BytesIO(data), len(data)) == (len(head + footed), "")
    assert heads_end(io.BytesIO(stream), len(stream)) == (0, "")


def test_a_head_longer_than_its_file_is_named() -> None:
    head = b"ID3\x03\0\0\0\0\0\x05" + bytes(5)
    end, problem = heads_end(io.BytesIO(head + b"ID3\x03\0\0\0\0\x7f\x05"), 25)
    assert (end, problem) == (15, "an ID3v2 tag longer than its file")
    with pytest.raises(Malformed):
        parsed_size(b"\0\0\x80\0")
    assert parsed_size(b"\0\0\x01\x00") == 128
