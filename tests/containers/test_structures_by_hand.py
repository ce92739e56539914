"""Containers put together field by field: each size or count that contradicts the rest is refused, never guessed."""

from __future__ import annotations

import io
import struct

import pytest

from music_reclass.containers import asf, id3
from music_reclass.containers.ape import Ape, tails_start
from music_reclass.containers.asf import Asf
from music_reclass.containers.edits import Container, patched, tidy
from music_reclass.containers.flac import Flac
from music_reclass.containers.mp4 import Mp4
from music_reclass.containers.mp4 import make as atom
from music_reclass.containers.ogg import Ogg, _summed
from music_reclass.containers.riff import Aiff, Wav
from music_reclass.containers.structure import Layout, Malformed
from music_reclass.containers.vorbis import Comment


def container(kind: type[Container], data: bytes) -> Container:
    return kind(io.BytesIO(data), Layout("", 0, len(data)))


def with_genres(kind: type[Container], data: bytes, *genres: str) -> bytes:
    """`data` with these genres; none takes the field out."""
    found = container(kind, data)
    edits = tidy(io.BytesIO(data), found.splice(found.encode(genres) if genres else ()))
    return b"".join(patched([data], edits))


def payload(kind: type[Container], data: bytes) -> bytes:
    spans = container(kind, data).payload()
    return b"".join(data[span[0] : span[1]] for span in spans if isinstance(span, tuple))


# --- Vorbis comments and FLAC ---


def comment(*entries: bytes, count: int | None = None, vendor: int | None = None) -> bytes:
    head = struct.pack("<I", 3 if vendor is None else vendor) + b"me!"
    body = b"".join(struct.pack("<I", len(entry)) + entry for entry in entries)
    return head + struct.pack("<I", len(entries) if count is None else count) + body


def block(kind: int, content: bytes, *, last: bool = False, length: int | None = None) -> bytes:
    size = len(content) if length is None else length
    return bytes([kind | last << 7]) + size.to_bytes(3, "big") + content


INFO, FRAMES = block(0, bytes(range(34))), b"\xff\xf8" + bytes(range(60))


def flac(*blocks: bytes) -> bytes:
    return b"fLaC" + b"".join(blocks) + FRAMES


def test_a_comment_made_by_hand_is_read_and_only_its_genre_changes() -> None:
    old = flac(INFO, block(4, comment(b"TITLE=A", b"gEnRe=Old", b"GENRES=no")), block(1, bytes(8), last=True))
    new = with_genres(Flac, old, "Rock", "Jazz")
    inner = Comment(new, 4 + len(INFO) + 4)
    texts = [new[entry.body : entry.end] for entry in inner.entries]
    assert texts == [b"TITLE=A", b"gEnRe=Rock", b"gEnRe=Jazz", b"GENRES=no"]
    assert payload(Flac, new) == payload(Flac, old) == bytes(range(34)) + FRAMES


@pytest.mark.parametrize(
    "data",
    [
        flac(block(4, comment(), last=True)),  # no STREAMINFO
        flac(INFO, block(4, comment(b"TITLE=A", count=2), last=True)),
        flac(INFO, block(4, comment(vendor=1 << 31), last=True)),
        flac(INFO, block(4, comment(count=0xFFFFFFFF), last=True)),
        flac(INFO, block(4, comment(b"A=B")[:-1], last=True)),
        flac(INFO, block(4, b"", last=True)),
        flac(INFO, block(4, comment(), last=True, length=0xFFFFFF)),
        flac(INFO, block(1, bytes(8), length=9)),  # no block is the last one
        b"fLaC",
        b"fLaC" + INFO[:-1],
        b"flac" + INFO,
    ],
)
def test_a_flac_stream_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        with_genres(Flac, data, "Rock")


# --- ID3 ---


def tag(body: bytes, *, version: int = 4, flags: int = 0, size: int | None = None) -> bytes:
    length = len(body) if size is None else size
    return bytes([*b"ID3", version, 0, flags]) + id3.syncsafe_bytes(length) + body


def frame(name: bytes, text: bytes, *, size: int | None = None) -> bytes:
    return name + id3.syncsafe_bytes(len(text) if size is None else size) + b"\0\0" + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3",
        b"TAG" + bytes(125),
        tag(frame(b"TCON", b"\3Rock"), size=40),
        tag(frame(b"TCON", b"\3Rock", size=6)),
        tag(frame(b"TCON", b"\3Rock", size=1 << 20)),
        tag(frame(b"tcon", b"\3Rock")),
        tag(frame(b"TCON", b"\3Rock") + bytes(5) + b"x"),  # something in the padding
        tag(frame(b"TCON", b"\3Rock"), version=1),
        tag(frame(b"TCON", b"\3Rock"), version=5),
        tag(frame(b"TCON", b"\3Rock"), version=2, flags=0x40),
        tag(b"\0\0\0\x0c\1\x20" + bytes(6) + frame(b"TCON", b"\3Rock"), flags=0x40),  # a checksum
        tag(b"\0\0\x7f\x7f\1\0" + frame(b"TCON", b"\3Rock"), flags=0x40),  # an extended header beyond the tag
        tag(struct.pack(">IHI", 1 << 30, 0, 0) + frame(b"TCON", b"\3Rock"), version=3, flags=0x40),
        b"ID3\4\0\0\0\0\0\x80" + bytes(200),
    ],
)
def test_an_id3_tag_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        id3.Tag(data)


def test_a_tag_made_by_hand_has_its_frames_where_they_stand() -> None:
    data = tag(frame(b"TIT2", b"\3A") + frame(b"TCON", b"\3Rock") + bytes(20))
    found = id3.Tag(data)
    assert [(one.name, data[one.start : one.start + 4]) for one in found.frames] == [
        (b"TIT2", b"TIT2"),
        (b"TCON", b"TCON"),
    ]
    assert found.genre_field() == (("TCON/4", b"\0\0\3Rock"),)
    assert (found.padding, found.end) == (len(data) - 20, len(data))


# --- APE ---


def item(key: bytes, value: bytes, *, size: int | None = None) -> bytes:
    return struct.pack("<II", len(value) if size is None else size, 0) + key + b"\0" + value


def ape(*items: bytes, count: int | None = None, size: int | None = None, flags: int = 0) -> bytes:
    body = b"".join(items)
    length = len(body) + 32 if size is None else size
    footer = struct.pack("<8sIIII8x", b"APETAGEX", 2000, length, len(items) if count is None else count, flags)
    return body + footer


STREAM = b"wvpk" + bytes(range(200))


def test_an_ape_tag_made_by_hand_is_edited_in_place() -> None:
    old = STREAM + ape(item(b"Title", b"A"), item(b"GENRE", b"Old"), item(b"Cover", bytes(20)))
    new = with_genres(Ape, old, "Rock")
    assert new == STREAM + ape(item(b"Title", b"A"), item(b"GENRE", b"Rock"), item(b"Cover", bytes(20)))
    assert tails_start(io.BytesIO(new), 0, len(new)) == len(STREAM)


@pytest.mark.parametrize(
    "damaged",
    [
        ape(item(b"Title", b"A"), count=2),
        ape(item(b"Title", b"A", size=99)),
        ape(item(b"Title", b"A", size=0xFFFFFFFF)),
        ape(item(b"Title", b"A")[:8], count=1),  # a key without an end
        ape(count=1),
    ],
)
def test_items_that_do_not_fill_their_tag_are_refused(damaged: bytes) -> None:
    with pytest.raises(Malformed):
        with_genres(Ape, STREAM + damaged, "Rock")


@pytest.mark.parametrize("length", range(40, 80))
def test_an_ape_tag_of_any_length_is_no_sound(length: int) -> None:
    """131 bytes among them: there the letters of `APETAGEX` stand where an ID3v1 tag has its `TAG`."""
    new = with_genres(Ape, STREAM, "x" * length)
    assert tails_start(io.BytesIO(new), 0, len(new)) == len(STREAM)
    assert with_genres(Ape, new) == STREAM


@pytest.mark.parametrize("size", [0, 31, 1 << 31, 0xFFFFFFFF])
def test_a_footer_whose_size_cannot_be_is_taken_for_sound(size: int) -> None:
    data = STREAM + ape(item(b"Title", b"A"), size=size)
    assert tails_start(io.BytesIO(data), 0, len(data)) == len(data)


# --- RIFF and AIFF ---


def chunk(name: bytes, content: bytes, *, size: int | None = None, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(content) if size is None else size) + content + bytes(len(content) % 2)


def form(magic: bytes, kind: bytes, *chunks: bytes, size: int | None = None, order: str = "<") -> bytes:
    body = kind + b"".join(chunks)
    return magic + struct.pack(f"{order}I", len(body) if size is None else size) + body


FORMAT, SOUND = chunk(b"fmt ", bytes(16)), chunk(b"data", bytes(range(50)))


@pytest.mark.parametrize(
    "data",
    [
        form(b"RIFF", b"WAVE"),  # no chunk at all
        form(b"RIFF", b"WAVE", FORMAT, SOUND, size=0),
        form(b"RIFF", b"WAVE", FORMAT, SOUND, size=1000),
        form(b"RIFF", b"WAVE", FORMAT, SOUND, b"stray"),
        form(b"RIFF", b"WAVE", chunk(b"fmt ", bytes(16), size=1 << 30), SOUND),
        form(b"RIFF", b"WAVE", FORMAT, SOUND, chunk(b"LIST", b"INFO" + chunk(b"IGNR", b"Rock\0", size=77))),
        form(b"RIFF", b"WAVE", FORMAT, SOUND, chunk(b"id3 ", b"no tag")),
        form(b"RIFF", b"WAVE", FORMAT, SOUND, chunk(b"id3 ", tag(frame(b"TCON", b"\3Rock"), size=9999))),
        form(b"RF64", b"WAVE", FORMAT, SOUND, size=0xFFFFFFFF),  # its sizes are missing
        form(b"RF64", b"WAVE", chunk(b"ds64", struct.pack("<QQQ", 1 << 50, 50, 0)), FORMAT, SOUND, size=0xFFFFFFFF),
    ],
)
def test_a_wav_file_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        with_genres(Wav, data, "Rock")


def test_a_wav_file_made_by_hand_keeps_every_other_chunk() -> None:
    old = form(b"RIFF", b"WAVE", FORMAT, chunk(b"odd ", b"abc"), SOUND, chunk(b"cue ", bytes(4)))
    new = with_genres(Wav, old, "Rock")
    assert new[12 : len(old)] == old[12:]
    assert payload(Wav, new) == bytes(16) + bytes(range(50))
    assert with_genres(Wav, new)[12 : len(old)] == old[12:]


@pytest.mark.parametrize("size", [0, 50, 1 << 31])
def test_an_aiff_file_of_another_size_than_it_says_is_refused(size: int) -> None:
    chunks = chunk(b"COMM", bytes(18), order=">"), chunk(b"SSND", bytes(40), order=">")
    assert b"Rock" in with_genres(Aiff, form(b"FORM", b"AIFF", *chunks, order=">"), "Rock")
    with pytest.raises(Malformed):
        with_genres(Aiff, form(b"FORM", b"AIFF", *chunks, size=size, order=">"), "Rock")


# --- MP4 ---

MEDIA = atom(b"mdat", bytes(range(90)))


def movie(*inside: bytes, media: bytes = MEDIA) -> bytes:
    return atom(b"ftyp", b"M4A \0\0\0\0") + atom(b"moov", b"".join(inside)) + media


def track(offsets: bytes, name: bytes = b"stco") -> bytes:
    table = atom(name, offsets)
    return atom(b"trak", atom(b"mdia", atom(b"minf", atom(b"stbl", table))))


def sized(name: bytes, content: bytes, size: int) -> bytes:
    return struct.pack(">I", size) + name + content


@pytest.mark.parametrize(
    "data",
    [
        MEDIA,  # no moov
        movie() + atom(b"moov", b""),
        movie(sized(b"udta", bytes(8), 999)),
        movie(sized(b"udta", bytes(8), 7)),
        movie(sized(b"udta", struct.pack(">Q", 15), 1)),  # a long size smaller than its header
        movie(sized(b"udta", struct.pack(">Q", 1 << 63), 1)),
        movie(track(struct.pack(">II", 0, 5) + struct.pack(">I", 200))),
        movie(track(struct.pack(">II", 0, 0xFFFFFFFF))),
        movie(track(b"\0\0")),
        movie(track(struct.pack(">IIQ", 0, 2, 200), b"co64")),
        movie(track(struct.pack(">II", 0, 1) + struct.pack(">I", 0xFFFFFFFF))),  # too far to move
        movie(atom(b"udta", atom(b"meta", bytes(4)))),
        movie(atom(b"udta", atom(b"meta", b""))),
    ],
)
def test_an_mp4_file_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        with_genres(Mp4, data, "Rock")


@pytest.mark.parametrize(("name", "code"), [(b"stco", ">I"), (b"co64", ">Q")])
def test_offsets_behind_the_movie_move_by_its_growth_and_those_before_stay(name: bytes, code: str) -> None:
    before = atom(b"mdat", b"first")
    rows = track(struct.pack(">II", 0, 2) + struct.pack(code, 8) + struct.pack(code, 0xABC), name)
    old = before + atom(b"moov", rows) + MEDIA
    new = with_genres(Mp4, old, "Rock")
    at = new.index(name) + 12
    width = struct.calcsize(code)
    moved = [struct.unpack_from(code, new, at + width * number)[0] for number in range(2)]
    assert moved == [8, 0xABC + len(new) - len(old)]
    assert payload(Mp4, new) == payload(Mp4, old) == b"first" + bytes(range(90))


# --- ASF ---


def thing(name: bytes, content: bytes, *, size: int | None = None) -> bytes:
    return name + struct.pack("<Q", 24 + len(content) if size is None else size) + content


def extension(*inside: bytes) -> bytes:
    body = b"".join(inside)
    return thing(asf.EXTENSION, bytes(18) + struct.pack("<I", len(body)) + body)


def asf_file(*inside: bytes) -> bytes:
    body = b"".join(inside)
    return thing(asf.HEADER, struct.pack("<IH", len(inside), 0x0201) + body) + thing(asf.DATA, bytes(range(70)))


CODECS = thing(asf.guid("86D15240-311D-11D0-A3A4-00A0C90348F6"), bytes(20))


def test_an_asf_file_made_by_hand_gets_its_genres_where_they_belong() -> None:
    old = asf_file(extension(), CODECS)
    new = with_genres(Asf, old, "Rock", "Jazz")
    assert [slot for slot, _ in container(Asf, new).genre_field()] == ["extended", "library"]
    assert payload(Asf, new) == payload(Asf, old) == bytes(range(70))
    assert CODECS in new
    assert with_genres(Asf, new).count("WM/Genre".encode("utf-16-le")) == 0


@pytest.mark.parametrize(
    "data",
    [
        asf_file(extension(), thing(asf.EXTENDED, b""), CODECS),  # no room for the count
        asf_file(extension(), thing(asf.EXTENDED, b"\0"), CODECS),
        asf_file(extension(), thing(asf.EXTENDED, struct.pack("<H", 1)), CODECS),
        asf_file(extension(), thing(asf.EXTENDED, struct.pack("<HH", 1, 0xFFFF)), CODECS),
        asf_file(extension(), thing(asf.EXTENDED, struct.pack("<HH4sHH", 1, 4, b"a\0\0\0", 0, 9)), CODECS),
        asf_file(extension(thing(asf.LIBRARY, struct.pack("<HHHHHI", 1, 0, 0, 2, 0, 1 << 31))), CODECS),
        asf_file(thing(asf.EXTENSION, bytes(10)), CODECS),  # too short for what it must hold
        asf_file(thing(asf.EXTENSION, b""), CODECS),
        asf_file(extension(), thing(asf.EXTENDED, struct.pack("<H", 0), size=1 << 40)),
        asf_file(extension(), thing(asf.EXTENDED, struct.pack("<H", 0), size=23)),
        thing(asf.DATA, bytes(30)),  # no header
        b"",
    ],
)
def test_an_asf_file_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"attribute|shorter|longer|no ASF header"):
        with_genres(Asf, data, "Rock", "Jazz")


# --- Ogg ---


def page(content: bytes, number: int, *, kind: int = 0, serial: int = 7, lacing: bytes | None = None) -> bytes:
    segments = bytes([255] * (len(content) // 255) + [len(content) % 255]) if lacing is None else lacing
    head = struct.pack("<4sBBqIII", b"OggS", 0, kind, number, serial, number, 0) + bytes([len(segments)]) + segments
    return _summed(head + content)


HEAD = page(b"OpusHead" + bytes(11), 0, kind=2)
SOUND_PAGE = page(bytes(range(100)), 2, kind=4)


def opus(packet: bytes, *, head: bytes = HEAD) -> bytes:
    return head + page(packet, 1) + SOUND_PAGE


def test_an_ogg_stream_made_by_hand_keeps_its_sound_and_its_numbers() -> None:
    new = with_genres(Ogg, opus(b"OpusTags" + comment(b"TITLE=A")), "Rock")
    assert new.endswith(SOUND_PAGE)
    assert b"GENRE=Rock" in new
    assert _summed(new[len(HEAD) : -len(SOUND_PAGE)]) == new[len(HEAD) : -len(SOUND_PAGE)]  # the checksum is right


def test_a_longer_comment_renumbers_the_pages_behind_it() -> None:
    new = with_genres(Ogg, opus(b"OpusTags" + comment()), "x" * 70_000)
    assert struct.unpack_from("<I", new, new.rindex(b"OggS") + 18)[0] == 3
    assert new.endswith(bytes(range(100)))


@pytest.mark.parametrize(
    "data",
    [
        HEAD,  # no comment
        opus(b""),
        opus(b"OpusTags"),
        opus(b"OpusTags" + comment(count=3)),
        opus(b"OpusTags" + comment(vendor=1 << 30)),
        opus(b"OpusTags" + comment(), head=page(b"Unknown " + bytes(11), 0, kind=2)),
        HEAD + page(b"OpusHead" + bytes(11), 0, kind=2, serial=8) + SOUND_PAGE,  # a second stream
        HEAD + page(b"OpusTags" + comment(), 1, lacing=b"\xff\xff\xff\x10"),  # longer than the file
        HEAD + b"refuse" + page(b"OpusTags" + comment(), 1),
        b"OggS" + bytes(10),
        b"OggS\1" + bytes(40),
    ],
)
def test_an_ogg_stream_that_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        with_genres(Ogg, data, "Rock")
