"""MP4: atoms, payload, and offsets that still point to the same media whatever moves."""

from __future__ import annotations

import io
import struct

import av
import mutagen.mp4
import pytest

from music_reclass.containers import mp4
from music_reclass.containers.edits import growth, patched, tidy
from music_reclass.containers.mp4 import Mp4, atoms
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Layout, Malformed, Unwritable
from tests.tagging.samples import moov_first, remuxed, sample, tagged, without_atom


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


LONG = "Rock " * 499 + "Rock"


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


def decoded(data: bytes, seek: float = 0.0) -> list[bytes]:
    """The samples from a place in seconds on, one entry a frame."""
    with av.open(io.BytesIO(data)) as file:
        if seek:
            file.seek(int(seek * 1_000_000))
        return [frame.to_ndarray().tobytes() for frame in file.decode(audio=0)]


def index_of_fragments(data: bytes) -> list[bytes]:
    """What each entry of the fragment index points to."""
    at = data.index(b"tfra")
    wide, count = data[at + 4] == 1, int.from_bytes(data[at + 16 : at + 20], "big")
    step, width = (19, 8) if wide else (11, 4)
    starts = [at + 20 + step * number + width for number in range(count)]
    offsets = [int.from_bytes(data[start : start + width], "big") for start in starts]
    return [data[offset + 4 : offset + 8] for offset in offsets]


EMPTY = without_atom(sample("aac"), b"udta")


@pytest.mark.parametrize("flags", ["empty_moov", "empty_moov+default_base_moof+dash", "frag_keyframe"])
@pytest.mark.parametrize("genre", ["Rock", LONG])
def test_fragments_are_found_in_their_places_after_the_movie_has_grown(flags: str, genre: str) -> None:
    old = remuxed(flags)
    new = rewritten(old, genre)
    assert len(new) > len(old)
    assert mutagen.mp4.MP4(io.BytesIO(new))["\xa9gen"] == [genre]
    assert decoded(new) == decoded(old)
    assert decoded(new, 0.5) == decoded(old, 0.5)
    assert index_of_fragments(old) == index_of_fragments(new) == [b"moof"] * old.count(b"moof")


def test_a_narrow_fragment_index_and_odd_sizes_of_its_numbers_are_moved_too() -> None:
    movie = moov_first(sample("aac"))
    entry = struct.pack(">II", 0, len(movie)) + bytes(2 + 1 + 3)  # the sizes 1, 0, 2 are two, one and three bytes
    table = mp4.make(b"tfra", struct.pack(">IIII", 0, 1, 0b010010, 2) + entry * 2)
    old = movie + mp4.make(b"moof", mp4.make(b"mfhd", bytes(8))) + mp4.make(b"mfra", table)
    new = rewritten(old, LONG)
    at = new.index(b"tfra") + 20
    assert struct.unpack_from(">II6sII", new, at)[1::3] == (new.index(b"moof") - 4, new.index(b"moof") - 4)
    assert len(new) - new.index(b"moof") == len(old) - old.index(b"moof")


def test_the_base_offset_of_a_fragment_moves_too() -> None:
    movie = moov_first(sample("aac"))
    header = mp4.make(b"tfhd", struct.pack(">IIQ", 1, 1, movie.index(b"mdat") + 4))
    old = movie + mp4.make(b"moof", mp4.make(b"mfhd", bytes(8)) + mp4.make(b"traf", header))
    new = rewritten(old, LONG)
    at = new.index(b"tfhd") + 12
    assert int.from_bytes(new[at : at + 8], "big") == new.index(b"mdat") + 4


@pytest.mark.parametrize(
    "data",
    [
        sample("aac") + mp4.make(b"moov", b""),
        sample("aac").replace(b"moov", b"mooV"),
        moov_first(sample("aac")).replace(b"stco\0\0\0\0\0\0", b"stco\0\0\0\0\x7f\0"),
    ],
)
def test_what_contradicts_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        rewritten(data, LONG)


def behind_type(data: bytes, more: bytes) -> bytes:
    """An M4A with its index first, with an atom right behind its file type; media offsets follow."""
    old = moov_first(data)
    at = int.from_bytes(old[:4], "big")
    out = bytearray(old[:at] + more + old[at:])
    table = out.index(b"stco") + 4
    for number in range(int.from_bytes(out[table + 4 : table + 8], "big")):
        where = table + 8 + 4 * number
        out[where : where + 4] = (int.from_bytes(out[where : where + 4], "big") + len(more)).to_bytes(4, "big")
    return bytes(out)


def far_away(data: bytes) -> bytes:
    """The first chunk at the end of what 32 bits can say."""
    at = data.index(b"stco") + 12
    return data[:at] + b"\xff" * 4 + data[at + 4 :]


POSITIONS = {
    "segments": behind_type(sample("aac"), mp4.make(b"sidx", bytes(32))),
    "items": behind_type(sample("aac"), mp4.make(b"meta", bytes(4) + mp4.make(b"iloc", bytes(8)))),
    "encrypted": moov_first(sample("aac")).replace(b"stsz", b"saio"),
    "compressed": moov_first(sample("aac")).replace(b"trak", b"cmov"),
    "no room": far_away(moov_first(sample("aac"))),
}


@pytest.mark.parametrize("what", POSITIONS)
def test_a_file_with_positions_that_are_not_moved_is_refused_with_what_to_do(what: str) -> None:
    with pytest.raises(Unwritable, match="encrypted" if what == "encrypted" else "copy it with ffmpeg"):
        rewritten(POSITIONS[what], LONG)


def test_where_nothing_lies_behind_the_movie_its_positions_do_not_matter() -> None:
    old = sample("aac").replace(b"stsz", b"saio")
    assert b"Rock" in rewritten(old, "Rock")


def test_quicktime_metadata_of_another_kind_is_refused_with_what_to_do() -> None:
    data = sample("aac").replace(b"mdirappl", b"mdtaappl")
    with pytest.raises(Unwritable, match="another form than iTunes' list; copy it with ffmpeg"):
        rewritten(data.replace(b"ilst", b"free"), "Rock")


@pytest.mark.parametrize("missing", [b"udta", b"meta", b"ilst"])
@pytest.mark.parametrize("place", ["behind", "first", "first, with space"])
@pytest.mark.parametrize("genre", ["Rock", LONG])
def test_an_m4a_without_tags_gets_a_list_that_other_readers_see(missing: bytes, place: str, genre: str) -> None:
    old = without_atom(sample("aac"), missing)
    old = old if place == "behind" else moov_first(old, spare=300 if "space" in place else 0)
    new = rewritten(old, genre)
    assert chunks(new) == chunks(old)
    assert mutagen.mp4.MP4(io.BytesIO(new))["\xa9gen"] == [genre]
    with av.open(io.BytesIO(new)) as file:
        assert file.metadata["genre"] == genre
    assert (len(new) == len(old)) == ("space" in place and genre == "Rock")


def test_a_meta_without_a_handler_gets_one_in_front() -> None:
    new = rewritten(tagged("aac no handler"), "Rock")
    assert new.index(b"hdlr", new.index(b"meta")) < new.index(b"ilst")
    with av.open(io.BytesIO(new)) as file:
        assert file.metadata["genre"] == "Rock"


def test_64_bit_offsets_of_a_file_without_tags_move_too() -> None:
    old = with_co64(moov_first(EMPTY))
    assert chunks(rewritten(old, LONG), b"co64") == chunks(old, b"co64") == chunks(EMPTY)


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
