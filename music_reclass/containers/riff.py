"""WAV (RIFF, RF64, BW64) and AIFF: chunks, audio payload, the genre in an ID3 chunk and in the INFO list."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal, NamedTuple

from music_reclass.containers import id3
from music_reclass.containers.edits import Edit, Layout, Raw, growth, replaced, slot
from music_reclass.containers.structure import Malformed, Span, read_at

HEADER_SIZE = 8
UNKNOWN_SIZE = 0xFFFFFFFF  # "look into ds64" in RF64, "until the end" in a streamed WAV


class Chunk(NamedTuple):
    """One chunk: `start` is its eight-byte header, `end` lies behind its content, the pad byte not counted."""

    name: bytes
    start: int
    end: int

    @property
    def body(self) -> int:
        """Where the content begins."""
        return self.start + HEADER_SIZE


def chunks(file: BinaryIO, start: int, end: int, order: Literal["little", "big"]) -> Iterator[Chunk]:
    """The chunks from `start` to `end`; a last one that is cut short ends at `end`."""
    long_data = 0
    while start + HEADER_SIZE <= end:
        header = read_at(file, start, HEADER_SIZE)
        name, length = header[:4], int.from_bytes(header[4:], order)
        if name == b"ds64" and length >= 16:
            long_data = int.from_bytes(read_at(file, start + 16, 8), "little")
        if name == b"data" and length == UNKNOWN_SIZE:
            length = long_data or end - start - HEADER_SIZE
        after = start + HEADER_SIZE + length
        if after > end and name not in (b"data", b"SSND"):
            raise Malformed(f"a chunk {name!r} longer than what holds it")
        yield Chunk(name, start, min(after, end))
        start = after + (length & 1)


def wav_pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of `fmt ` and `data`."""
    for chunk in chunks(file, start + 12, end, "little"):
        if chunk.name in (b"fmt ", b"data"):
            yield chunk.body, chunk.end


def aiff_pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of `COMM` and `SSND`."""
    for chunk in chunks(file, start + 12, end, "big"):
        if chunk.name in (b"COMM", b"SSND"):
            yield chunk.body, chunk.end


def info_list(file: BinaryIO, layout: Layout) -> tuple[Chunk, list[Chunk]] | None:
    """The `LIST` chunk of kind `INFO` and the entries in it; None without one."""
    for chunk in chunks(file, layout.start + 12, layout.end, "little"):
        if chunk.name == b"LIST" and read_at(file, chunk.body, min(4, chunk.end - chunk.body)) == b"INFO":
            return chunk, list(chunks(file, chunk.body + 4, chunk.end, "little"))
    return None


def info_texts(file: BinaryIO, layout: Layout) -> dict[str, str]:
    """The texts of the INFO list by name, the first where one name stands twice."""
    found = info_list(file, layout)
    texts: dict[str, str] = {}
    for chunk in found[1] if found else ():
        data = read_at(file, chunk.body, chunk.end - chunk.body).split(b"\0")[0]
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
        texts.setdefault(chunk.name.decode("latin-1"), text)
    return texts


INFO_SLOT = "IGNR"
NEW_VERSION = 4
Order = Literal["little", "big"]


class _Form(NamedTuple):
    """The chunks of a file, where the next one would be put, and whether a pad byte is missing there."""

    order: Order
    chunks: list[Chunk]
    end: int
    unpadded: bool
    long: bool  # RF64: the size stands in the ds64 chunk

    @property
    def tag(self) -> Chunk | None:
        """The chunk with the ID3 tag."""
        return next((chunk for chunk in self.chunks if chunk.name.lower() == b"id3 "), None)


def _form(file: BinaryIO, layout: Layout, order: Order) -> _Form:
    head = read_at(file, layout.start, 8)
    found = list(chunks(file, layout.start + 12, layout.end, order))
    length, long = int.from_bytes(head[4:], order), head[:4] in (b"RF64", b"BW64")
    if long:
        if not found or found[0].name != b"ds64":
            raise Malformed("an RF64 file without its sizes")
        length = int.from_bytes(read_at(file, found[0].body, 8), "little")
    end = layout.start + HEADER_SIZE + length
    inside = [chunk for chunk in found if chunk.end <= end]
    if not inside or end > layout.end or (not long and length == UNKNOWN_SIZE):
        raise Malformed("a file cut short, or of unknown length")
    last = inside[-1]
    if end - last.end not in (0, (last.end - last.start) % 2):
        raise Malformed("something that is no chunk at the end of the file")
    return _Form(order, inside, end, end == last.end and (last.end - last.start) % 2 == 1, long)


def tag_bytes(file: BinaryIO, layout: Layout, order: Order) -> bytes:
    """The ID3 tag of a file that may be cut short; b"" without one."""
    for chunk in chunks(file, layout.start + 12, layout.end, order):
        if chunk.name.lower() == b"id3 ":
            return read_at(file, chunk.body, chunk.end - chunk.body)
    return b""


def _tag(file: BinaryIO, form: _Form) -> bytes:
    return read_at(file, form.tag.body, form.tag.end - form.tag.body) if form.tag else b""


def _number(value: int, order: Order) -> bytes:
    if value >= UNKNOWN_SIZE:
        raise Malformed("a chunk larger than its size field can say")
    return value.to_bytes(4, order)


def _resized(chunk: Chunk, more: int, form: _Form) -> list[Edit]:
    """The size field, and the pad byte that an odd length asks for."""
    if not more:
        return []
    length = chunk.end - chunk.body
    edits = [Edit(chunk.start + 4, chunk.start + 8, _number(length + more, form.order))]
    padded = chunk.end < form.end and length % 2 == 1
    if (length + more) % 2 and not padded:
        edits.append(Edit(chunk.end, chunk.end, b"\0"))
    elif padded and (length + more) % 2 == 0:
        edits.append(Edit(chunk.end, chunk.end + 1, b""))
    return edits


def _chunk(name: bytes, content: bytes, order: Order) -> bytes:
    return name + _number(len(content), order) + content + bytes(len(content) % 2)


def _tag_edits(file: BinaryIO, form: _Form, raw: Raw) -> tuple[list[Edit], bytes]:
    """The edits to the ID3 chunk, or the chunk to add."""
    contents = tuple(one for one in raw if one[0] != INFO_SLOT)
    chunk = form.tag
    if chunk is None:
        own = slot(contents, f"TCON/{NEW_VERSION}")
        if len(own) != len(contents):
            raise Malformed("the genre is kept in another kind of tag now")
        frames = b"".join(id3.frame_bytes(b"TCON", one, NEW_VERSION) for one in own)
        name = b"ID3 " if form.order == "big" else b"id3 "
        return [], _chunk(name, id3.new_tag(frames, padding=0), form.order) if frames else b""
    inner = id3.splice(_tag(file, form), contents, even=True)
    edits = [Edit(chunk.body + edit.start, chunk.body + edit.end, edit.data) for edit in inner]
    if chunk.end - chunk.body + growth(edits) == 0:
        after = min(chunk.end + (chunk.end - chunk.body) % 2, form.end)
        return [Edit(chunk.start, after, b"")], b""
    return edits + _resized(chunk, growth(edits), form), b""


def _finished(file: BinaryIO, layout: Layout, form: _Form, edits: list[Edit], new: bytes) -> list[Edit]:
    """New chunks at the end of the form, and its own size."""
    if new:
        edits = [*edits, Edit(form.end, form.end, bytes(form.unpadded) + new)]
    more = growth(edits)
    if not more:
        return edits
    if form.long:
        at = form.chunks[0].body
        size = struct.pack("<Q", int.from_bytes(read_at(file, at, 8), "little") + more)
        return [*edits, Edit(at, at + 8, size)]
    size = _number(form.end - layout.start - HEADER_SIZE + more, form.order)
    return [*edits, Edit(layout.start + 4, layout.start + 8, size)]


def _encoded(file: BinaryIO, form: _Form, genres: Sequence[str]) -> Raw:
    tag = _tag(file, form)
    return id3.encode(genres, id3.parse(tag).version if tag else NEW_VERSION)


# --- AIFF --------------------------------------------------------------------------------------------------


def read_aiff(file: BinaryIO, layout: Layout) -> Raw:
    """The raw genre field."""
    tag = _tag(file, _form(file, layout, "big"))
    return id3.read_raw(id3.parse(tag)) if tag else ()


def encode_aiff(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """A raw field that says `genres`."""
    return _encoded(file, _form(file, layout, "big"), genres)


def splice_aiff(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the genre field."""
    form = _form(file, layout, "big")
    edits, new = _tag_edits(file, form, raw)
    return _finished(file, layout, form, edits, new)


# --- WAV ---------------------------------------------------------------------------------------------------


def read_wav(file: BinaryIO, layout: Layout) -> Raw:
    """The raw genre field: frames of the ID3 tag, and entries of the INFO list."""
    tag = _tag(file, _form(file, layout, "little"))
    frames = id3.read_raw(id3.parse(tag)) if tag else ()
    found = info_list(file, layout)
    entries = [chunk for chunk in found[1] if chunk.name == b"IGNR"] if found else []
    return frames + tuple((INFO_SLOT, read_at(file, one.body, one.end - one.body)) for one in entries)


def encode_wav(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """All genres in the ID3 tag, the first one in INFO, which holds but one."""
    frames = _encoded(file, _form(file, layout, "little"), genres)
    return (*frames, (INFO_SLOT, genres[0].encode() + b"\0")) if genres else frames


def splice_wav(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the genre field."""
    form = _form(file, layout, "little")
    edits, new = _tag_edits(file, form, raw)
    entries = b"".join(_chunk(b"IGNR", content, "little") for content in slot(raw, INFO_SLOT))
    found = info_list(file, layout)
    if found is None:
        new = (_chunk(b"LIST", b"INFO" + entries, "little") if entries else b"") + new
    else:
        parent, old = found
        spans = [
            (one.start, min(one.end + (one.end - one.start) % 2, parent.end)) for one in old if one.name == b"IGNR"
        ]
        inner = replaced(spans, parent.end, entries)
        if spans or not (parent.end - parent.body) % 2:
            edits += inner + _resized(parent, growth(inner), form)
        elif inner:
            raise Malformed("an INFO list of odd length")
    return _finished(file, layout, form, edits, new)
