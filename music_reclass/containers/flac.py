"""FLAC: metadata blocks, audio payload, and the genre in the Vorbis comment block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from music_reclass.containers.edits import Container, Edit, Raw, growth
from music_reclass.containers.structure import Element, Malformed, Span, read_at, refuse_many
from music_reclass.containers.vorbis import Comment, new_comment

STREAMINFO, PADDING, VORBIS_COMMENT = b"\0", b"\1", b"\4"  # types of metadata blocks
HEADER_SIZE = 4
LARGEST = (1 << 24) - 1  # bytes of a metadata block


class Flac(Container):
    """A FLAC stream: the `fLaC` mark, metadata blocks, frames."""

    @cached_property
    def blocks(self) -> list[Element]:
        """The metadata blocks, each named by its type; the frames begin where the last one ends."""
        position, last = self.layout.start, False
        if read_at(self.file, position, 4) != b"fLaC":
            raise Malformed("no fLaC mark")
        position += 4
        found: list[Element] = []
        while not last:
            header = read_at(self.file, position, HEADER_SIZE)
            body = position + HEADER_SIZE
            end = body + int.from_bytes(header[1:], "big")
            if end > self.layout.end:
                raise Malformed("a FLAC metadata block longer than its file")
            found.append(Element(bytes([header[0] & 0x7F]), position, body, end))
            refuse_many(len(found))
            position, last = end, bool(header[0] & 0x80)
        if found[0].name != STREAMINFO:
            raise Malformed("a FLAC stream that does not begin with STREAMINFO")
        return found

    @cached_property
    def comment(self) -> tuple[Element | None, Comment]:
        """The block with the Vorbis comment, and the comment; an empty one where there is no such block."""
        block = next((block for block in self.blocks if block.name == VORBIS_COMMENT), None)
        data = new_comment() if block is None else read_at(self.file, block.body, block.end - block.body)
        return block, Comment(data, field=self.field)

    def payload(self) -> Iterator[Span]:
        """STREAMINFO, then every frame."""
        yield self.blocks[0].body, self.blocks[0].end
        yield self.blocks[-1].end, self.layout.end

    def genre_field(self) -> Raw:
        """The entries of the field in the comment."""
        return self.comment[1].genre_field()

    def encode(self, genres: Sequence[str]) -> Raw:
        """One entry a value."""
        return self.comment[1].encode(genres)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the field; the first padding block takes up the difference where it can."""
        block, comment = self.comment
        in_comment = comment.splice(raw)
        if block is None:
            return self._new_block(in_comment) if raw else []
        edits = [Edit(block.body + edit.start, block.body + edit.end, edit.data) for edit in in_comment]
        more = growth(edits)
        edits.append(_resized(block, more))
        padding = next((one for one in self.blocks if one.name == PADDING), None)
        if padding and padding.end - padding.body >= more:
            edits.append(_resized(padding, -more))
            if more > 0:
                edits.append(Edit(padding.end - more, padding.end, b""))
            else:
                edits.append(Edit(padding.end, padding.end, bytes(-more)))
        return edits

    def _new_block(self, in_comment: list[Edit]) -> list[Edit]:
        """A comment block right behind STREAMINFO, for a file that has none."""
        body = bytearray(new_comment())
        for edit in sorted(in_comment, key=lambda edit: -edit.start):
            body[edit.start : edit.end] = edit.data
        info, last = self.blocks[0], len(self.blocks) == 1
        header = bytes([VORBIS_COMMENT[0] | last << 7]) + len(body).to_bytes(3, "big")
        edits = [Edit(info.end, info.end, header + bytes(body))]
        if last:
            edits.append(Edit(info.start, info.start + 1, STREAMINFO))
        return edits


def _resized(block: Element, more: int) -> Edit:
    length = block.end - block.body + more
    if length > LARGEST:
        raise Malformed("a FLAC metadata block larger than 16 MB")
    return Edit(block.start + 1, block.body, length.to_bytes(3, "big"))
