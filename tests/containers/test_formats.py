"""One suite that every format passes: the genre changes, nothing else does, and every byte comes back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from music_reclass.containers import FORMATS
from music_reclass.containers.edits import Container, Edit, Raw, in_slot, inverse, only_in_slot, patched, replaced, tidy
from music_reclass.containers.sniff import PayloadReader, sniff
from music_reclass.containers.structure import Malformed
from music_reclass.tagging.read import FileTags, all_tags
from tests.tagging.samples import FIXED, KINDS, SUFFIX_OF_KIND, tagged

GENRES = {
    "absent": None,
    "empty": ("",),
    "one": ("Shoegaze",),
    "three": ("Rock", "Jazz", "Pop"),
    "number": ("(17)",),
    "unicode": ("Ænima ✓", "日本"),
    "separators": ("R&B; Soul", "Old-Time / Historic", "Folk, World"),
}
CASES = [(kind, before) for kind in KINDS for before in (("absent",) if kind in FIXED else GENRES)]
WRITTEN = [("Rock",), ("Soul-RnB", "Jazz", "Übergröße"), ("Electronic " + "x" * 3000,)]


def container_of(data: bytes) -> Container:
    file = io.BytesIO(data)
    layout = sniff(file)
    return FORMATS[layout.container](file, layout)


def tags_of(data: bytes) -> FileTags:
    return all_tags(io.BytesIO(data), sniff(io.BytesIO(data)))


def digest_of(data: bytes) -> bytes:
    reader = PayloadReader(io.BytesIO(data))
    assert b"".join(reader) == data
    return reader.digest()


def edits_for(data: bytes, raw: Raw) -> tuple[Edit, ...]:
    return tidy(io.BytesIO(data), container_of(data).splice(raw))


def changed(data: bytes, raw: Raw) -> bytes:
    return b"".join(patched([data], edits_for(data, raw)))


def encoded(data: bytes, genres: tuple[str, ...]) -> Raw:
    return container_of(data).encode(genres)


def raw_of(data: bytes) -> Raw:
    return container_of(data).genre_field()


def written(data: bytes, genres: tuple[str, ...]) -> bytes:
    return changed(data, encoded(data, genres))


def sound(data: bytes, container: str) -> np.ndarray[Any, Any]:
    import av

    with av.open(io.BytesIO(data)) as file:
        frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
    return np.concatenate(frames, axis=-1)


@pytest.mark.parametrize(("kind", "before"), CASES)
def test_the_genre_is_written_and_nothing_else_changes(kind: str, before: str) -> None:
    old = tagged(kind, GENRES[before])
    for genres in WRITTEN:
        new = written(old, genres)
        then, now = tags_of(old), tags_of(new)
        assert now.tags.genres == genres
        assert then.rest.items() <= now.rest.items()
        assert then.version in (None, now.version)
        assert digest_of(new) == digest_of(old)


@pytest.mark.parametrize(("kind", "before"), CASES)
def test_the_reverse_edits_bring_every_byte_back(kind: str, before: str) -> None:
    old = tagged(kind, GENRES[before])
    edits = edits_for(old, encoded(old, WRITTEN[1]))
    new = b"".join(patched([old], edits))
    assert b"".join(patched([new], inverse(io.BytesIO(old), edits))) == old


@pytest.mark.parametrize(("kind", "before"), CASES)
def test_the_raw_field_alone_can_be_put_back(kind: str, before: str) -> None:
    old = tagged(kind, GENRES[before])
    restored = changed(written(old, WRITTEN[1]), raw_of(old))
    assert raw_of(restored) == raw_of(old)
    assert tags_of(restored).tags == tags_of(old).tags
    assert tags_of(old).rest.items() <= tags_of(restored).rest.items()


@pytest.mark.parametrize("kind", KINDS)
def test_writing_twice_is_writing_once(kind: str) -> None:
    once = written(tagged(kind), WRITTEN[0])
    assert written(once, WRITTEN[0]) == once


@pytest.mark.parametrize("kind", KINDS)
def test_the_field_that_is_there_is_written_back_as_no_change(kind: str) -> None:
    data = tagged(kind)
    assert changed(data, raw_of(data)) == data or not raw_of(data)


# ffmpeg reads no APE tag in MP3, and takes the sizes in an unsynchronised ID3v2.3 tag for stored ones.
UNSEEN = ("mp3 v2.3 unsynchronised",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_gives_the_same_sound_and_the_primary_genre_first(kind: str) -> None:
    import av

    old = tagged(kind)
    new = written(old, WRITTEN[1])
    assert np.array_equal(sound(old, kind), sound(new, kind))
    if kind in UNSEEN:
        return
    with av.open(io.BytesIO(new), metadata_errors="ignore") as file:
        words = {**dict(file.streams.audio[0].metadata), **dict(file.metadata)}
    genre = next(value for key, value in words.items() if key.lower() == "genre")
    assert genre.split(";")[0] == "Soul-RnB"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rf64"])
def test_the_tag_library_opens_the_file_by_its_name(kind: str, tmp_path: Any) -> None:
    import mutagen

    path = tmp_path / f"tune{SUFFIX_OF_KIND[kind]}"
    path.write_bytes(written(tagged(kind), WRITTEN[0]))
    file: Any = mutagen.File(path)
    assert file is not None
    if "fragmented" not in kind:  # whose length the tag library does not add up
        assert file.info.length == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cover_is_not_kept_again(kind: str) -> None:
    from music_reclass.containers.edits import pack

    old = tagged(kind)
    assert len(pack(inverse(io.BytesIO(old), edits_for(old, encoded(old, WRITTEN[0]))))) < 1000


def test_the_first_place_is_kept_and_the_others_go() -> None:
    assert replaced([(3, 5), (8, 9)], 20, b"new") == [Edit(3, 5, b"new"), Edit(8, 9, b"")]
    assert replaced([], 20, b"new") == [Edit(20, 20, b"new")]
    assert replaced([], 20, b"") == []


def test_a_slot_gives_its_bytes_in_order() -> None:
    assert in_slot((("a", b"1"), ("b", b"2"), ("a", b"3")), "a") == (b"1", b"3")


def test_a_field_with_other_slots_is_refused() -> None:
    assert only_in_slot((("a", b"1"), ("a", b"3")), "a") == (b"1", b"3")
    with pytest.raises(Malformed, match="another kind"):
        only_in_slot((("a", b"1"), ("b", b"2")), "a")
