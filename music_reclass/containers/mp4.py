"""MP4 and M4A: atoms, audio payload, and the `©gen` item of the iTunes list."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import BinaryIO

from music_reclass.containers.edits import Container, Edit, Raw, growth, replaced
from music_reclass.containers.structure import Element, Malformed, Span, read_at

TEXT_GENRE, NUMBERED_GENRE = b"\xa9gen", b"gnre"
GENRES = (TEXT_GENRE, NUMBERED_GENRE)
UTF8 = 1  # the data type of text
ITUNES_HANDLER = b"mdirappl"
TABLES = (b"mdia", b"minf", b"stbl")  # where atoms with positions in the file lie, below a track


def atoms(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The atoms that follow each other from `start` to `end`; an `mdat` cut short ends where the file does."""
    while start + 8 <= end:
        header = read_at(file, start, 8)
        length, name, body = int.from_bytes(header[:4], "big"), header[4:], start + 8
        if length == 1:
            length, body = int.from_bytes(read_at(file, start + 8, 8), "big"), start + 16
        elif length == 0:
            length = end - start
        after = start + length
        if after > end and name == b"mdat":
            after = end
        if not body <= after <= end:
            raise Malformed(f"an MP4 atom {name!r} longer than what holds it")
        yield Element(name, start, body, after)
        start = after


def make(name: bytes, content: bytes) -> bytes:
    """One atom."""
    return struct.pack(">I", len(content) + 8) + name + content


class Mp4(Container):
    """An MP4 file: atoms within atoms; iTunes' list of tags lies in `moov`, `udta`, `meta`, `ilst`."""

    @cached_property
    def top(self) -> list[Element]:
        """The outermost atoms."""
        return list(atoms(self.file, self.layout.start, self.layout.end))

    @cached_property
    def parents(self) -> list[Element]:
        """`moov`, `udta`, `meta`, `ilst`, each within the one before, as far as they are there."""
        movies = [atom for atom in self.top if atom.name == b"moov"]
        if len(movies) != 1:
            raise Malformed("an MP4 file without exactly one moov")
        found = movies
        for name in (b"udta", b"meta", b"ilst"):
            child = next((atom for atom in self.children(found[-1]) if atom.name == name), None)
            if child is None:
                break
            found.append(child)
        return found

    @cached_property
    def items(self) -> list[Element]:
        """The items of iTunes' list."""
        return list(self.children(self.parents[-1])) if len(self.parents) == 4 else []

    @property
    def genres(self) -> list[Element]:
        """The genre items."""
        return [item for item in self.items if item.name in GENRES]

    def children(self, parent: Element) -> Iterator[Element]:
        """The atoms in an atom."""
        return atoms(self.file, self._inside(parent), parent.end)

    def _inside(self, parent: Element) -> int:
        """Where the atoms in an atom begin: in `meta` behind version and flags, which QuickTime's `meta` has not."""
        if parent.name != b"meta" or read_at(self.file, parent.body, 8)[4:] == b"hdlr":
            return parent.body
        return parent.body + 4

    def _child(self, parent: Element, name: bytes) -> Element | None:
        return next((atom for atom in self.children(parent) if atom.name == name), None)

    def payload(self) -> Iterator[Span]:
        """The content of every `mdat`."""
        for atom in self.top:
            if atom.name == b"mdat":
                yield atom.body, atom.end

    def genre_field(self) -> Raw:
        """The genre items, whole atoms."""
        return tuple(
            (item.name.decode("latin-1"), read_at(self.file, item.start, item.end - item.start)) for item in self.genres
        )

    def encode(self, genres: Sequence[str]) -> Raw:
        """One `©gen` item with a `data` atom a genre."""
        content = b"".join(make(b"data", struct.pack(">II", UTF8, 0) + genre.encode()) for genre in genres)
        return ((TEXT_GENRE.decode("latin-1"), make(TEXT_GENRE, content)),)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the genre field; offsets to media that move along are moved too."""
        if any(name.encode("latin-1") not in GENRES for name, _data in raw):
            raise Malformed("the genre is kept in another kind of tag now")
        new = b"".join(data for _name, data in raw)
        resized, listed = self.parents, len(self.parents) == 4
        if listed:
            edits = replaced([(item.start, item.end) for item in self.genres], self.parents[3].end, new)
        else:
            edits = self._new_list(new) if new else []
        more = growth(edits)
        if listed and (free := _free_behind(self.parents[3], self.children(self.parents[2]), more)):
            edits += _resized_free(free, more)
            resized = self.parents[3:]
        elif free := _free_behind(self.parents[0], self.top, more):
            edits += _resized_free(free, more)
        elif more:
            edits += self._moved(more)
        return edits + [_resized(atom, more) for atom in resized if more]

    def _new_list(self, item: bytes) -> list[Edit]:
        """iTunes' list, with whatever of the atoms around it is missing, at the end of what is there."""
        content = make(b"ilst", item)
        last = self.parents[-1]
        if last.name == b"meta":
            handler = self._child(last, b"hdlr")
            if handler is None or read_at(self.file, handler.body, 12)[8:12] != ITUNES_HANDLER[:4]:
                raise Malformed("MP4 metadata of another kind than iTunes'")
        else:
            handler_content = bytes(8) + ITUNES_HANDLER + bytes(9)
            content = make(b"meta", bytes(4) + make(b"hdlr", handler_content) + content)
            if last.name == b"moov":
                content = make(b"udta", content)
        children = list(self.children(last))
        end = children[-1].end if children else self._inside(last)  # QuickTime may close the list with four zero bytes
        return [Edit(end, end, content)]

    # --- what points into the file ---

    def _moved(self, more: int) -> Iterator[Edit]:
        """The edits that move every offset to media behind `moov`, which grows by `more` bytes."""
        limit = self.parents[0].end
        if all(atom.end <= limit for atom in self.top):
            return
        if any(atom.name == b"mfra" and atom.start >= limit for atom in self.top):
            raise Malformed("a fragmented MP4 file with a fragment index")
        for track in self.children(self.parents[0]):
            if track.name == b"trak":
                yield from self._moved_tables(track, limit, more)
        for fragment in self.top:
            if fragment.name == b"moof":
                yield from self._moved_fragment(fragment, limit, more)

    def _moved_tables(self, track: Element, limit: int, more: int) -> Iterator[Edit]:
        parent: Element | None = track
        for name in TABLES:
            parent = self._child(parent, name) if parent else None
        for table in self.children(parent) if parent else ():
            if table.name in (b"stco", b"co64"):
                width = ">%dI" if table.name == b"stco" else ">%dQ"
                data = read_at(self.file, table.body, table.end - table.body)
                layout = width % int.from_bytes(data[4:8], "big")
                try:
                    new = struct.pack(layout, *_shifted(struct.unpack_from(layout, data, 8), limit, more))
                except struct.error as error:
                    raise Malformed(f"an MP4 table of offsets that does not add up ({error})") from error
                yield Edit(table.body + 8, table.body + 8 + len(new), new)

    def _moved_fragment(self, fragment: Element, limit: int, more: int) -> Iterator[Edit]:
        for track in self.children(fragment):
            header = self._child(track, b"tfhd") if track.name == b"traf" else None
            if header and read_at(self.file, header.body, 4)[3] & 1:  # it names a base offset
                at = header.body + 8
                base = int.from_bytes(read_at(self.file, at, 8), "big")
                yield Edit(at, at + 8, struct.pack(">Q", _shifted([base], limit, more)[0]))


def _free_behind(atom: Element, siblings: Iterable[Element], more: int) -> Element | None:
    """The `free` atom right behind an atom, where it can take up a growth by `more` bytes."""
    behind = next((one for one in siblings if one.start == atom.end), None)
    if behind is None or behind.name != b"free" or behind.body - behind.start != 8:
        return None
    left = behind.end - behind.start - more
    return behind if left >= 8 or left == 0 else None


def _resized_free(free: Element, more: int) -> list[Edit]:
    if more == 0:
        return []
    left = free.end - free.start - more
    if left == 0:
        return [Edit(free.start, free.end, b"")]
    # From the front: what lies behind the header is of no meaning, so any of it may go.
    size = Edit(free.start, free.start + 4, struct.pack(">I", left))
    if more > 0:
        return [size, Edit(free.body, free.body + more, b"")]
    return [size, Edit(free.body, free.body, bytes(-more))]


def _resized(atom: Element, more: int) -> Edit:
    length = atom.end - atom.start + more
    if atom.body - atom.start == 16:
        return Edit(atom.start + 8, atom.start + 16, struct.pack(">Q", length))
    if length >= 1 << 32:
        raise Malformed("an MP4 atom larger than its size field can say")
    return Edit(atom.start, atom.start + 4, struct.pack(">I", length))


def _shifted(offsets: Sequence[int], limit: int, more: int) -> list[int]:
    return [offset + more if offset >= limit else offset for offset in offsets]
