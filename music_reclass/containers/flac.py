"""FLAC: metadata blocks, audio payload, and the genre in the Vorbis comment block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from music_reclass.containers import vorbis as comments
from music_reclass.containers.edits import Edit, Layout, Raw, growth
from music_reclass.containers.structure import Malformed, Span, read_at

STREAMINFO, PADDING, VORBIS_COMMENT = 0, 1, 4
HEADER_SIZE = 4


class Block(NamedTuple):
    """One metadata block: `start` is its four-byte header, `end` lies behind its body."""

    kind: int
    start: int
    end: int
    last: bool


def blocks(file: BinaryIO, start: int, end: int) -> list[Block]:
    """The metadata blocks of the stream whose `fLaC` mark lies at `start`."""
    if read_at(file, start, 4) != b"fLaC":
        raise Malformed("no fLaC mark")
    found: list[Block] = []
    position = start + 4
    while not found or not found[-1].last:
        header = read_at(file, position, HEADER_SIZE)
        after = position + HEADER_SIZE + int.from_bytes(header[1:], "big")
        if after > end:
            raise Malformed("a FLAC metadata block longer than its file")
        found.append(Block(header[0] & 0x7F, position, after, bool(header[0] & 0x80)))
        position = after
    if found[0].kind != STREAMINFO:
        raise Malformed("a FLAC stream that does not begin with STREAMINFO")
    return found


def pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """STREAMINFO, then every frame."""
    found = blocks(file, start, end)
    yield found[0].start + HEADER_SIZE, found[0].end
    yield found[-1].end, end


LARGEST = (1 << 24) - 1


def _comment(file: BinaryIO, layout: Layout) -> tuple[list[Block], Block | None, comments.Comment]:
    found = blocks(file, layout.start, layout.end)
    for block in found:
        if block.kind == VORBIS_COMMENT:
            body = block.start + HEADER_SIZE
            return found, block, comments.parse(read_at(file, body, block.end - body))
    return found, None, comments.parse(comments.new_comment())


def read(file: BinaryIO, layout: Layout) -> Raw:
    """The raw genre field."""
    return comments.read_raw(_comment(file, layout)[2])


def encode(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """A raw field that says `genres`."""
    return comments.encode(_comment(file, layout)[2], genres)


def splice(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the genre field."""
    found, block, comment = _comment(file, layout)
    inner = comments.splice(comment, raw)
    if block is None:
        return _new_block(found[0], inner) if raw else []
    body = block.start + HEADER_SIZE
    edits = [Edit(body + edit.start, body + edit.end, edit.data) for edit in inner]
    more = growth(edits)
    edits.append(_length(block, more))
    padding = next((one for one in found if one.kind == PADDING), None)
    if padding and padding.end - padding.start - HEADER_SIZE >= more:
        edits.append(_length(padding, -more))
        if more > 0:
            edits.append(Edit(padding.end - more, padding.end, b""))
        else:
            edits.append(Edit(padding.end, padding.end, bytes(-more)))
    return edits


def _length(block: Block, more: int) -> Edit:
    length = block.end - block.start - HEADER_SIZE + more
    if length > LARGEST:
        raise Malformed("a FLAC metadata block larger than 16 MB")
    return Edit(block.start + 1, block.start + HEADER_SIZE, length.to_bytes(3, "big"))


def _new_block(before: Block, inner: list[Edit]) -> list[Edit]:
    """A comment block right behind STREAMINFO, for a file that has none."""
    body = bytearray(comments.new_comment())
    for edit in sorted(inner, key=lambda edit: -edit.start):
        body[edit.start : edit.end] = edit.data
    head = bytes([VORBIS_COMMENT | before.last << 7]) + len(body).to_bytes(3, "big")
    edits = [Edit(before.end, before.end, head + bytes(body))]
    if before.last:
        edits.append(Edit(before.start, before.start + 1, bytes([before.kind])))
    return edits
