"""MP4 and M4A: atoms, audio payload, and the genre or style in the iTunes list."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import BinaryIO

from music_reclass.containers.edits import GENRE, Container, Edit, Raw, growth, replaced
from music_reclass.containers.structure import Element, Malformed, Span, Unwritable, read_at, refuse_many

TEXT_GENRE, NUMBERED_GENRE = b"\xa9gen", b"gnre"
GENRES = (TEXT_GENRE, NUMBERED_GENRE)
FREEFORM = b"----"  # an item that names itself: who invented it, and what it is
INVENTOR, STYLE_KEY = b"com.apple.iTunes", b"STYLE"
UTF8 = 1  # the data type of text
ITUNES_HANDLER = b"mdirappl"
IN_META = (b"hdlr", b"keys", b"ilst", b"free")
TABLES = (b"mdia", b"minf", b"stbl")  # where atoms with positions in the file lie, below a track
REMUX = "copy it with ffmpeg -i OLD -map 0 -c copy NEW.m4a, and scan the copy"

Shift = Callable[[int], int]  # from where something lay to where it lies


def atoms(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The atoms that follow each other from `start` to `end`; an `mdat` cut short ends where the file does."""
    number = 0
    while start + 8 <= end:
        refuse_many(number)
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
        start, number = after, number + 1


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
        """The items of the field."""
        if self.field == GENRE:
            return [item for item in self.items if item.name in GENRES]
        return [item for item in self.items if item.name == FREEFORM and self._is_style(item)]

    def _is_style(self, item: Element) -> bool:
        """Whether an item that names itself is the style, in any case; one that does not add up is none."""
        try:
            named = [read_at(self.file, atom.body, atom.end - atom.body)[4:] for atom in self.children(item)][:2]
        except Malformed:
            return False
        return [one.lower() for one in named] == [INVENTOR.lower(), STYLE_KEY.lower()]

    def tag_bytes(self) -> bytes:
        """The list in a file of its own, inside a `meta` as iTunes writes it; b"" without one."""
        if len(self.parents) < 4:
            return b""
        listed = read_at(self.file, self.parents[3].start, self.parents[3].end - self.parents[3].start)
        return make(b"moov", make(b"udta", make(b"meta", bytes(4) + listed)))

    def children(self, parent: Element) -> Iterator[Element]:
        """The atoms in an atom."""
        return atoms(self.file, self._inside(parent), parent.end)

    def _inside(self, parent: Element) -> int:
        """Where the atoms in an atom begin: in `meta` behind version and flags, which QuickTime's `meta` has not."""
        head = read_at(self.file, parent.body, min(8, parent.end - parent.body))
        if parent.name != b"meta" or len(head) < 4 or head[4:] in IN_META:
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
        """The items of the field, whole atoms."""
        return tuple(
            (item.name.decode("latin-1"), read_at(self.file, item.start, item.end - item.start)) for item in self.genres
        )

    def encode(self, genres: Sequence[str]) -> Raw:
        """One item with a `data` atom a value: `©gen`, or one that names itself STYLE."""
        content = b"".join(make(b"data", struct.pack(">II", UTF8, 0) + genre.encode()) for genre in genres)
        if self.field == GENRE:
            return ((TEXT_GENRE.decode("latin-1"), make(TEXT_GENRE, content)),)
        named = make(b"mean", bytes(4) + INVENTOR) + make(b"name", bytes(4) + STYLE_KEY)
        return ((FREEFORM.decode(), make(FREEFORM, named + content)),)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the field; offsets to media that move along are moved too."""
        names = GENRES if self.field == GENRE else (FREEFORM,)
        if any(name.encode("latin-1") not in names for name, _data in raw):
            raise Malformed("the field is kept in another kind of tag now")
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
        handler = make(b"hdlr", bytes(8) + ITUNES_HANDLER + bytes(9))
        last = self.parents[-1]
        start, children = self._inside(last), list(self.children(last))
        end = children[-1].end if children else start  # QuickTime may close the list with four zero bytes
        if last.name == b"meta":
            there = self._child(last, b"hdlr")
            if there is None and all(child.name == b"free" for child in children):
                return [Edit(start, start, handler), Edit(end, end, content)]  # readers want to meet the handler first
            if there is None or read_at(self.file, there.body, 12)[8:12] != ITUNES_HANDLER[:4]:
                raise Unwritable(f"it keeps its tags in another form than iTunes' list; {REMUX}")
            return [Edit(end, end, content)]
        content = make(b"meta", bytes(4) + handler + content)
        return [Edit(end, end, make(b"udta", content) if last.name == b"moov" else content)]

    # --- what points into the file ---

    def _moved(self, more: int) -> Iterator[Edit]:
        """The edits that move every offset to what lies behind `moov`, which grows by `more` bytes."""
        movie = self.parents[0]
        if all(atom.end <= movie.end for atom in self.top):
            return

        def shift(offset: int) -> int:
            return offset + more if offset >= movie.end else offset

        tracks = [atom for atom in self.children(movie) if atom.name == b"trak"]
        self._refuse_other_offsets(tracks)
        for track in tracks:
            yield from self._moved_tables(track, shift)
        for fragment in (atom for atom in self.top if atom.name == b"moof"):
            yield from self._moved_fragment(fragment, shift)
        for index in (atom for atom in self.top if atom.name == b"mfra"):
            yield from self._moved_index(index, shift)

    def _refuse_other_offsets(self, tracks: Sequence[Element]) -> None:
        """Unwritable where the file has offsets of a kind that is not moved here."""
        movie = self.parents[0]
        if not tracks:
            raise Unwritable(f"its index is compressed; {REMUX}")
        if any(atom.name == b"sidx" and atom.start < movie.start for atom in self.top):
            raise Unwritable(f"its index of segments lies in front of the movie; {REMUX}")
        within = [child for parent in (movie, *tracks) for child in self.children(parent)]
        if any(meta.name == b"meta" and self._child(meta, b"iloc") for meta in (*self.top, *within)):
            raise Unwritable(f"it holds items that are found by their position; {REMUX}")

    def _moved_tables(self, track: Element, shift: Shift) -> Iterator[Edit]:
        parent: Element | None = track
        for name in TABLES:
            parent = self._child(parent, name) if parent else None
        for table in self.children(parent) if parent else ():
            if table.name in (b"stco", b"co64"):
                width = 4 if table.name == b"stco" else 8
                count = int.from_bytes(read_at(self.file, table.body + 4, 4), "big")
                yield self._shifted(table, range(8, 8 + width * count, width), width, shift)
            elif table.name == b"saio":
                raise Unwritable("it is encrypted, and the keys are found by their position")

    def _moved_fragment(self, fragment: Element, shift: Shift) -> Iterator[Edit]:
        for track in self.children(fragment):
            header = self._child(track, b"tfhd") if track.name == b"traf" else None
            if header and read_at(self.file, header.body, 4)[3] & 1:  # it names a base offset
                yield self._shifted(header, range(8, 16, 8), 8, shift)

    def _moved_index(self, index: Element, shift: Shift) -> Iterator[Edit]:
        """The index of fragments: each entry has a time, an offset, and numbers of a fragment, a run and a sample."""
        for table in self.children(index):
            if table.name == b"tfra":
                head = read_at(self.file, table.body, 16)
                width, sizes = 8 if head[0] == 1 else 4, head[11]
                numbers = sum((sizes >> bits & 3) + 1 for bits in (4, 2, 0))
                step, count = 2 * width + numbers, int.from_bytes(head[12:], "big")
                yield self._shifted(table, range(16 + width, 16 + width + step * count, step), width, shift)

    def _shifted(self, table: Element, places: range, width: int, shift: Shift) -> Edit:
        """The edit that moves the offsets of `width` bytes that stand at `places` of an atom's content."""
        data = bytearray(read_at(self.file, table.body, table.end - table.body))
        if places and places[-1] + width > len(data):
            raise Malformed(f"an MP4 table {table.name!r} of offsets that does not add up")
        for at in places:
            offset = shift(int.from_bytes(data[at : at + width], "big"))
            if offset >> 8 * width:
                raise Unwritable(f"its offsets have no room for a larger number; {REMUX}")
            data[at : at + width] = offset.to_bytes(width, "big")
        return Edit(table.body, table.end, bytes(data))


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
