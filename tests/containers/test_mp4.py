"""MP4: atoms, payload, and offsets that still point to the same media whatever moves."""

from __future__ import annotations

import io
import struct

import mutagen.mp4
import pytest

from music_reclass.containers import mp4
from music_reclass.containers.edits import growth, patched, tidy
from music_reclass.containers.mp4 import Mp4, atoms
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Layout, Malformed
from tests.tagging.samples import moov_first, sample, tagged


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    container = Mp4(file, sniff(file))
    raw = container.encode(genres) if genres else ()
    return b"".join(patched([data], tidy(file, container.splice(raw))))


def chunks(data: bytes, name: bytes = b"stco") -> list[bytes]:
    """The first bytes that each chunk offset points to."""
    at = data.index(name) + 4
    width, code = (4, ">I") if name == b"stco" else (8, ">Q")
    count = int.from_bytes(data[at + 4 : at + 8], "big")
    offsets = [struct.unpack_from(code, data, at + 8 + width * number)[0] for number in range(count)]
    return [data[offset : offset + 32] for offset in offsets]


def with_co64(data: bytes) -> bytes:
    """The same file with 64-bit chunk offsets."""
    at = data.index(b"stco") - 4
    size, count = struct.unpack(">I", data[at : at + 4])[0], int.from_bytes(data[at + 12 : at + 16], "big")
    more = 4 * count
    offsets = struct.unpack(f">{count}I", data[at + 16 : at + size])
    shifted = [offset + more for offset in offsets]
    table = struct.pack(">I", size + more) + b"co64" + data[at + 8 : at + 16] + struct.pack(f">{count}Q", *shifted)
    out = bytearray(data[:at] + table + data[at + size :])
    for name in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        where = out.rindex(name, 0, at) - 4
        out[where : where + 4] = struct.pack(">I", int.from_bytes(out[where : where + 4], "big") + more)
    return bytes(out)


LONG = "Rock " * 500


@pytest.mark.parametrize("genre", ["Rock", LONG])
@pytest.mark.parametrize("kind", ["aac", "aac moov first", "aac tight", "aac bare", "alac"])
def test_offsets_point_to_the_same_media(kind: str, genre: str) -> None:
    old = tagged(kind)
    new = rewritten(old, genre)
    assert chunks(new) == chunks(old)
    assert mutagen.mp4.MP4(io.BytesIO(new))["\xa9gen"] == [genre]


def test_64_bit_offsets_move_too() -> None:
    old = with_co64(moov_first(sample("aac")))
    new = rewritten(old, LONG)
    assert chunks(new, b"co64") == chunks(old, b"co64")
    assert chunks(old, b"co64") == chunks(sample("aac"))


def test_free_space_behind_the_list_takes_up_the_difference() -> None:
    old = tagged("aac moov first")
    with io.BytesIO(old) as file:
        container = Mp4(file, sniff(file))
        edits = tidy(file, container.splice(container.encode(["Rocks"])))
    assert growth(edits) == 0
    assert len(rewritten(old, "Rocks")) == len(old)


def test_free_space_is_used_up_to_the_last_byte_or_left_whole() -> None:
    data = moov_first(tagged("aac tight", None)[:0] or sample("aac"), spare=40)
    names = {}
    for length in range(1, 60):
        new = rewritten(data, "x" * length)
        assert chunks(new) == chunks(data)
        names[length] = [atom.name for atom in atoms(io.BytesIO(new), 0, len(new))]
    assert all(one[-1] == b"mdat" for one in names.values())


def test_a_numbered_genre_gives_way_to_words_and_comes_back() -> None:
    old = tagged("aac gnre")
    new = rewritten(old, "Rock")
    assert b"gnre" not in new
    file = io.BytesIO(old)
    raw = Mp4(file, sniff(file)).genre_field()
    assert [name for name, _ in raw] == ["gnre"]
    back = io.BytesIO(new)
    restored = b"".join(patched([new], tidy(back, Mp4(back, sniff(back)).splice(raw))))
    assert b"\xa9gen" not in restored
    assert mutagen.mp4.MP4(io.BytesIO(restored))["\xa9gen"] == ["Rock"]  # 18 is Rock


def test_removing_the_genre_leaves_the_other_items() -> None:
    new = mutagen.mp4.MP4(io.BytesIO(rewritten(tagged("aac tight"))))
    assert "\xa9gen" not in new
    assert new["\xa9nam"] == ["A Title"]


def fragmented(index: bool) -> bytes:
    """A fragment with a base offset behind the movie, and maybe an index of fragments."""
    old = moov_first(sample("aac"))
    base = old.index(b"mdat") + 4
    header = mp4.make(b"tfhd", struct.pack(">IIQ", 1, 1, base))
    fragment = mp4.make(b"moof", mp4.make(b"mfhd", bytes(8)) + mp4.make(b"traf", header))
    return old + fragment + (mp4.make(b"mfra", b"") if index else b"")


def test_the_base_offset_of_a_fragment_moves_too() -> None:
    old = fragmented(index=False)
    new = rewritten(old, LONG)
    at = new.index(b"tfhd") + 12
    assert int.from_bytes(new[at : at + 8], "big") == new.index(b"mdat") + 4


@pytest.mark.parametrize(
    "data",
    [
        fragmented(index=True),
        sample("aac") + mp4.make(b"moov", b""),
        sample("aac").replace(b"moov", b"mooV"),
        moov_first(sample("aac")).replace(b"stco\0\0\0\0\0\0", b"stco\0\0\0\0\x7f\0"),
    ],
)
def test_what_cannot_be_moved_safely_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        rewritten(data, LONG)


def test_quicktime_metadata_of_another_kind_is_refused() -> None:
    data = sample("aac")
    at = data.index(b"mdirappl")
    meta = data[:at] + b"mdtaappl" + data[at + 8 :]
    start = meta.index(b"ilst")
    with pytest.raises(Malformed, match="another kind"):
        rewritten(meta[:start] + b"free" + meta[start + 4 :], "Rock")


def atom(name: bytes, content: bytes, *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, name, len(content) + 16) + content
    return struct.pack(">I4s", len(content) + 8, name) + content


def payload(data: bytes) -> list[tuple[int, int]]:
    return list(Mp4(io.BytesIO(data), Layout("mp4", 0, len(data))).payload())


def test_atoms_of_every_size_field_are_walked() -> None:
    data = atom(b"ftyp", b"M4A ") + atom(b"mdat", b"one", long=True) + struct.pack(">I4s", 0, b"mdat") + b"two"
    found = list(atoms(io.BytesIO(data), 0, len(data)))
    assert [(one.name, data[one.body : one.end]) for one in found] == [
        (b"ftyp", b"M4A "),
        (b"mdat", b"one"),
        (b"mdat", b"two"),
    ]
    assert [data[start:end] for start, end in payload(data)] == [b"one", b"two"]


def test_media_cut_short_end_with_the_file_and_nothing_else_may() -> None:
    data = atom(b"mdat", b"a long one")[:-4]
    assert payload(data) == [(8, len(data))]
    data = atom(b"moov", b"a long one")[:-4]
    with pytest.raises(Malformed):
        list(atoms(io.BytesIO(data), 0, len(data)))


@pytest.mark.parametrize("size", [2, 7])
def test_an_atom_smaller_than_its_header_is_malformed(size: int) -> None:
    data = struct.pack(">I4s", size, b"free") + bytes(20)
    with pytest.raises(Malformed):
        list(atoms(io.BytesIO(data), 0, len(data)))
