"""MP4 and M4A: atoms, audio payload, and the `©gen` item of the iTunes list."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from music_reclass.containers.edits import Edit, Layout, Raw, growth, replaced
from music_reclass.containers.structure import Malformed, Span, read_at


class Atom(NamedTuple):
    """One atom: its header lies at `start`, its content from `body` to `end`."""

    name: bytes
    start: int
    body: int
    end: int


def atoms(file: BinaryIO, start: int, end: int) -> Iterator[Atom]:
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
        yield Atom(name, start, body, after)
        start = after


def pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of every `mdat`."""
    for atom in atoms(file, start, end):
        if atom.name == b"mdat":
            yield atom.body, atom.end


TEXT_GENRE, NUMBERED_GENRE = b"\xa9gen", b"gnre"
GENRES = (TEXT_GENRE, NUMBERED_GENRE)
UTF8 = 1  # the data type of text
ITUNES_HANDLER = b"mdirappl"
# Where atoms with positions in the file lie, below a track.
TABLES = (b"mdia", b"minf", b"stbl")


def make(name: bytes, content: bytes) -> bytes:
    """One atom."""
    return struct.pack(">I", len(content) + 8) + name + content


def _child(file: BinaryIO, parent: Atom, name: bytes) -> Atom | None:
    return next((atom for atom in atoms(file, parent.body, parent.end) if atom.name == name), None)


class _Tree:
    """The way from the file to iTunes' list, as far as it is there."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self.top = list(atoms(file, layout.start, layout.end))
        movies = [atom for atom in self.top if atom.name == b"moov"]
        if len(movies) != 1:
            raise Malformed("an MP4 file without exactly one moov")
        self.way = movies
        self.items: list[Atom] = []
        self.room: Atom | None = None  # a `free` atom right behind the list
        inside = movies[0]
        for name in (b"udta", b"meta", b"ilst"):
            found = _child(file, inside, name)
            if found is None:
                return
            self.way.append(found)
            if name == b"ilst":
                behind = [atom for atom in atoms(file, inside.body, inside.end) if atom.start == found.end]
                self.room = behind[0] if behind and behind[0].name == b"free" else None
                self.items = list(atoms(file, found.body, found.end))
            inside = found._replace(body=self.meta_body(file, found)) if name == b"meta" else found

    @staticmethod
    def meta_body(file: BinaryIO, meta: Atom) -> int:
        """Behind version and flags, which QuickTime's own `meta` has not."""
        return meta.body if read_at(file, meta.body, 8)[4:] == b"hdlr" else meta.body + 4

    @property
    def genres(self) -> list[Atom]:
        """The genre items."""
        return [item for item in self.items if item.name in GENRES]


def read(file: BinaryIO, layout: Layout) -> Raw:
    """The genre items, whole atoms."""
    genres = _Tree(file, layout).genres
    return tuple((one.name.decode("latin-1"), read_at(file, one.start, one.end - one.start)) for one in genres)


def encode(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """One `©gen` item with a `data` atom a genre."""
    content = b"".join(make(b"data", struct.pack(">II", UTF8, 0) + genre.encode()) for genre in genres)
    return ((TEXT_GENRE.decode("latin-1"), make(TEXT_GENRE, content)),)


def splice(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the genre field; media that move along are found again through the moved offsets."""
    if any(name.encode("latin-1") not in GENRES for name, _data in raw):
        raise Malformed("the genre is kept in another kind of tag now")
    tree = _Tree(file, layout)
    new = b"".join(data for _name, data in raw)
    if len(tree.way) == 4:
        edits = replaced([(item.start, item.end) for item in tree.genres], tree.way[-1].end, new)
    else:
        edits = _new_list(file, tree, new) if new else []
    more = growth(edits)
    if tree.room and _fits(tree.room, more):
        sized = tree.way[-1:]
        edits += _resized_free(tree.room, more)
    else:
        sized = tree.way
        behind = next((atom for atom in tree.top if atom.start == tree.way[0].end), None)
        if behind and behind.name == b"free" and _fits(behind, more):
            edits += _resized_free(behind, more)
        elif more:
            edits += _moved(file, tree, more)
    return edits + [_resized(atom, more) for atom in sized if more]


def _fits(free: Atom, more: int) -> bool:
    left = free.end - free.start - more
    return free.body - free.start == 8 and (left >= 8 or left == 0)


def _resized_free(free: Atom, more: int) -> list[Edit]:
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


def _resized(atom: Atom, more: int) -> Edit:
    length = atom.end - atom.start + more
    if atom.body - atom.start == 16:
        return Edit(atom.start + 8, atom.start + 16, struct.pack(">Q", length))
    if length >= 1 << 32:
        raise Malformed("an MP4 atom larger than its size field can say")
    return Edit(atom.start, atom.start + 4, struct.pack(">I", length))


def _new_list(file: BinaryIO, tree: _Tree, item: bytes) -> list[Edit]:
    """iTunes' list, with whatever of the atoms around it is missing, at the end of what is there."""
    content = make(b"ilst", item)
    last = tree.way[-1]
    inner = last.body
    if last.name == b"meta":
        inner = tree.meta_body(file, last)
        handler = _child(file, last._replace(body=inner), b"hdlr")
        if handler is None or read_at(file, handler.body, 12)[8:12] != ITUNES_HANDLER[:4]:
            raise Malformed("MP4 metadata of another kind than iTunes'")
    else:
        handler_content = bytes(8) + ITUNES_HANDLER + bytes(9)
        content = make(b"meta", bytes(4) + make(b"hdlr", handler_content) + content)
        if last.name == b"moov":
            content = make(b"udta", content)
    children = list(atoms(file, inner, last.end))
    end = children[-1].end if children else inner  # QuickTime may close the list with four zero bytes
    return [Edit(end, end, content)]


# --- what points into the file -----------------------------------------------------------------------------


def _moved(file: BinaryIO, tree: _Tree, more: int) -> Iterator[Edit]:
    """The edits that move every offset to media behind the list."""
    limit = tree.way[0].end
    if all(atom.end <= limit for atom in tree.top):
        return
    if any(atom.name == b"mfra" and atom.start >= limit for atom in tree.top):
        raise Malformed("a fragmented MP4 file with a fragment index")
    for track in atoms(file, tree.way[0].body, limit):
        if track.name == b"trak":
            yield from _moved_tables(file, track, limit, more)
    for fragment in tree.top:
        if fragment.name == b"moof":
            yield from _moved_fragment(file, fragment, limit, more)


def _moved_tables(file: BinaryIO, track: Atom, limit: int, more: int) -> Iterator[Edit]:
    parent: Atom | None = track
    for name in TABLES:
        parent = _child(file, parent, name) if parent else None
    for table in atoms(file, parent.body, parent.end) if parent else ():
        if table.name in (b"stco", b"co64"):
            code = ">%dI" if table.name == b"stco" else ">%dQ"
            yield from _moved_table(read_at(file, table.body, table.end - table.body), code, table.body, limit, more)


def _moved_table(data: bytes, code: str, at: int, limit: int, more: int) -> Iterator[Edit]:
    count = int.from_bytes(data[4:8], "big")
    layout = code % count
    try:
        old = struct.unpack_from(layout, data, 8)
        new = struct.pack(layout, *_shifted(old, limit, more))
    except struct.error as error:
        raise Malformed(f"an MP4 table of offsets that does not add up ({error})") from error
    yield Edit(at + 8, at + 8 + len(new), new)


def _shifted(offsets: Sequence[int], limit: int, more: int) -> list[int]:
    return [offset + more if offset >= limit else offset for offset in offsets]


def _moved_fragment(file: BinaryIO, fragment: Atom, limit: int, more: int) -> Iterator[Edit]:
    for track in atoms(file, fragment.body, fragment.end):
        header = _child(file, track, b"tfhd") if track.name == b"traf" else None
        if header and read_at(file, header.body, 4)[3] & 1:  # it names a base offset
            base = int.from_bytes(read_at(file, header.body + 8, 8), "big")
            yield Edit(header.body + 8, header.body + 16, struct.pack(">Q", _shifted([base], limit, more)[0]))
