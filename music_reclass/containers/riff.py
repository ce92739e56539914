"""WAV (RIFF, RF64, BW64) and AIFF: chunks, audio payload, the genre or style in an ID3 chunk, the genre in INFO."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import BinaryIO, ClassVar, Literal

from music_reclass.containers import id3
from music_reclass.containers.edits import GENRE, Container, Edit, Raw, growth, in_slot, only_in_slot, replaced
from music_reclass.containers.structure import Element, Malformed, Span, read_at, read_part, refuse_many

Order = Literal["little", "big"]
HEADER_SIZE = 8  # of a chunk: name and size
FORM_SIZE = 12  # of a file's header: a chunk's, and the kind of form
UNKNOWN_SIZE = 0xFFFFFFFF  # "look into ds64" in RF64, "until the end" in a streamed WAV
INFO_SLOT = "IGNR"


def chunks(file: BinaryIO, start: int, end: int, order: Order) -> Iterator[Element]:
    """The chunks from `start` to `end`, without pad bytes; a last one with sound that is cut short ends there."""
    long_data = number = 0
    while start + HEADER_SIZE <= end:
        refuse_many(number)
        number += 1
        header = read_at(file, start, HEADER_SIZE)
        name, length = header[:4], int.from_bytes(header[4:], order)
        if name == b"ds64" and length >= 16:
            long_data = int.from_bytes(read_at(file, start + 16, 8), "little")
        if name == b"data" and length == UNKNOWN_SIZE:
            length = long_data or end - start - HEADER_SIZE
        after = start + HEADER_SIZE + length
        if after > end and name not in (b"data", b"SSND"):
            raise Malformed(f"a chunk {name!r} longer than what holds it")
        yield Element(name, start, start + HEADER_SIZE, min(after, end))
        start = after + (length & 1)


class Form(Container):
    """A file that is one form of chunks, with the genre in its ID3 chunk."""

    order: ClassVar[Order]
    sound: ClassVar[tuple[bytes, bytes]]  # the chunks that are payload
    id3_name: ClassVar[bytes]  # of a new chunk

    def chunks(self) -> Iterator[Element]:
        """Every chunk in the file, behind the end of the form too; Malformed once one does not add up."""
        return chunks(self.file, self.layout.start + FORM_SIZE, self.layout.end, self.order)

    def payload(self) -> Iterator[Span]:
        """The content of the chunks with the sound and its format."""
        for chunk in self.chunks():
            if chunk.name in self.sound:
                yield chunk.body, chunk.end

    def tag_bytes(self) -> bytes:
        """The ID3 tag of a file that may be cut short; b"" without one."""
        chunk = next((chunk for chunk in self.chunks() if chunk.name.lower() == b"id3 "), None)
        return b"" if chunk is None else read_part(self.file, chunk.body, chunk.end)

    @cached_property
    def is_long(self) -> bool:
        """Whether it is RF64, whose size stands in the ds64 chunk."""
        return read_at(self.file, self.layout.start, 4) in (b"RF64", b"BW64")

    @cached_property
    def end(self) -> int:
        """Where the form says that it ends; Malformed for a file cut short, or of unknown length."""
        found = list(self.chunks())
        length = int.from_bytes(read_at(self.file, self.layout.start + 4, 4), self.order)
        if self.is_long:
            if not found or found[0].name != b"ds64":
                raise Malformed("an RF64 file without its sizes")
            length = int.from_bytes(read_at(self.file, found[0].body, 8), "little")
        end = self.layout.start + HEADER_SIZE + length
        inside = [chunk for chunk in found if chunk.end <= end]
        if not inside or end > self.layout.end or (not self.is_long and length == UNKNOWN_SIZE):
            raise Malformed("a file cut short, or of unknown length")
        if end - inside[-1].end not in (0, (inside[-1].end - inside[-1].start) % 2):
            raise Malformed("something that is no chunk at the end of the file")
        return end

    @cached_property
    def inside(self) -> list[Element]:
        """The chunks of the form."""
        end = self.end
        return [chunk for chunk in self.chunks() if chunk.end <= end]

    @cached_property
    def tag(self) -> tuple[Element, id3.Tag] | None:
        """The ID3 chunk, and the tag in it."""
        chunk = next((chunk for chunk in self.inside if chunk.name.lower() == b"id3 "), None)
        return chunk and (chunk, id3.Tag(read_part(self.file, chunk.body, chunk.end), self.field))

    def genre_field(self) -> Raw:
        """The frames of the field in the ID3 tag."""
        return self.tag[1].genre_field() if self.tag else ()

    def encode(self, genres: Sequence[str]) -> Raw:
        """A frame of the field in the version of the tag that is there."""
        return self.tag[1].encode(genres) if self.tag else id3.encode(genres, id3.NEW_VERSION, self.field)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the field."""
        return self._finished(*self._in_tag(raw))

    def _in_tag(self, raw: Raw) -> tuple[list[Edit], bytes]:
        """The edits to the ID3 chunk, or the chunk to add."""
        if self.tag is None:
            contents = only_in_slot(raw, id3.slot(self.field, id3.NEW_VERSION))
            if contents and self.field != GENRE:
                raise Malformed("a new ID3v2 tag needs a genre")  # it would hide that of the INFO list
            frames = b"".join(id3.frame_bytes(b"TCON", one, id3.NEW_VERSION) for one in contents)
            return [], self._chunk(self.id3_name, id3.new_tag(frames, padding=0)) if frames else b""
        chunk, tag = self.tag
        in_tag = tag.splice(raw, even=True)
        edits = [Edit(chunk.body + edit.start, chunk.body + edit.end, edit.data) for edit in in_tag]
        if chunk.end - chunk.body + growth(edits) == 0:
            after = min(chunk.end + (chunk.end - chunk.body) % 2, self.end)
            return [Edit(chunk.start, after, b"")], b""
        return edits + self._resized(chunk, growth(edits)), b""

    def _finished(self, edits: list[Edit], new: bytes) -> list[Edit]:
        """With the new chunks at the end of the form, behind a pad byte if one is missing there, and its new size."""
        if new:
            last = self.inside[-1]
            unpadded = self.end == last.end and (last.end - last.start) % 2 == 1
            edits = [*edits, Edit(self.end, self.end, bytes(unpadded) + new)]
        more = growth(edits)
        if not more:
            return edits
        if self.is_long:
            at = self.inside[0].body
            size = struct.pack("<Q", int.from_bytes(read_at(self.file, at, 8), "little") + more)
            return [*edits, Edit(at, at + 8, size)]
        size = _number(self.end - self.layout.start - HEADER_SIZE + more, self.order)
        return [*edits, Edit(self.layout.start + 4, self.layout.start + 8, size)]

    def _chunk(self, name: bytes, content: bytes) -> bytes:
        return name + _number(len(content), self.order) + content + bytes(len(content) % 2)

    def _resized(self, chunk: Element, more: int) -> list[Edit]:
        """The size field, and the pad byte that an odd length asks for."""
        if not more:
            return []
        length = chunk.end - chunk.body
        edits = [Edit(chunk.start + 4, chunk.start + 8, _number(length + more, self.order))]
        padded = chunk.end < self.end and length % 2 == 1
        if (length + more) % 2 and not padded:
            edits.append(Edit(chunk.end, chunk.end, b"\0"))
        elif padded and (length + more) % 2 == 0:
            edits.append(Edit(chunk.end, chunk.end + 1, b""))
        return edits


def _number(value: int, order: Order) -> bytes:
    if value >= UNKNOWN_SIZE:
        raise Malformed("a chunk larger than its size field can say")
    return value.to_bytes(4, order)


class Aiff(Form):
    """AIFF: big-endian chunks."""

    order = "big"
    sound = (b"COMM", b"SSND")
    id3_name = b"ID3 "


class Wav(Form):
    """RIFF, RF64 or BW64 with sound: little-endian chunks, and a second genre in the INFO list."""

    order = "little"
    sound = (b"fmt ", b"data")
    id3_name = b"id3 "

    @cached_property
    def info(self) -> tuple[Element, list[Element]] | None:
        """The `LIST` chunk of kind `INFO` and the entries in it; None without one."""
        for chunk in self.chunks():
            if chunk.name == b"LIST" and read_at(self.file, chunk.body, min(4, chunk.end - chunk.body)) == b"INFO":
                return chunk, list(chunks(self.file, chunk.body + 4, chunk.end, self.order))
        return None

    def info_texts(self) -> dict[str, str]:
        """The texts of the INFO list by name, the first where one name stands twice."""
        texts: dict[str, str] = {}
        for entry in self.info[1] if self.info else ():
            data = read_part(self.file, entry.body, entry.end).split(b"\0")[0]
            try:
                text = data.decode()
            except UnicodeDecodeError:
                text = data.decode("cp1252", "replace")
            texts.setdefault(entry.name.decode("latin-1"), text)
        return texts

    def genre_field(self) -> Raw:
        """Frames of the ID3 tag, and entries of the INFO list, which knows no style."""
        frames = super().genre_field()
        if self.field != GENRE:
            return frames
        entries = [entry for entry in self.info[1] if entry.name == b"IGNR"] if self.info else []
        return frames + tuple((INFO_SLOT, read_at(self.file, one.body, one.end - one.body)) for one in entries)

    def encode(self, genres: Sequence[str]) -> Raw:
        """All genres in the ID3 tag, the first one in INFO, which holds but one."""
        frames = super().encode(genres)
        if self.field != GENRE:
            return frames
        return (*frames, (INFO_SLOT, genres[0].encode() + b"\0")) if genres else frames

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the field."""
        if self.field != GENRE:
            return super().splice(raw)
        edits, new = self._in_tag(tuple(one for one in raw if one[0] != INFO_SLOT))
        entries = b"".join(self._chunk(b"IGNR", content) for content in in_slot(raw, INFO_SLOT))
        if self.info is None:
            new = (self._chunk(b"LIST", b"INFO" + entries) if entries else b"") + new
        else:
            parent, old = self.info
            spans = [
                (one.start, min(one.end + (one.end - one.start) % 2, parent.end)) for one in old if one.name == b"IGNR"
            ]
            in_list = replaced(spans, parent.end, entries)
            if spans or not (parent.end - parent.body) % 2:
                edits += in_list + self._resized(parent, growth(in_list))
            elif in_list:
                raise Malformed("an INFO list of odd length")
        return self._finished(edits, new)
