"""ASF: objects, payload, and every size and count above an attribute right after an edit."""

from __future__ import annotations

import io

import mutagen.asf
import pytest

from music_reclass.containers import asf
from music_reclass.containers.asf import DATA, HEADER, Asf, objects
from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import sample, tagged


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    container = Asf(file, sniff(file))
    raw = container.encode(genres) if genres else ()
    return b"".join(patched([data], tidy(file, container.splice(raw))))


def header(data: bytes) -> list[bytes]:
    """The kinds of the objects in the header; Malformed where they do not fill it."""
    whole = next(objects(io.BytesIO(data), 0, len(data)))
    inner = list(objects(io.BytesIO(data), whole.start + 30, whole.end))
    assert inner[-1].end == whole.end
    assert int.from_bytes(data[24:28], "little") == len(inner)
    return [one.name for one in inner]


def file_size(data: bytes) -> int:
    return int.from_bytes(data[data.index(asf.FILE) + 40 :][:8], "little")


@pytest.mark.parametrize("genres", [("Rock",), ("Rock", "Jazz", "Pop"), ("x" * 5000,)])
@pytest.mark.parametrize("kind", ["wma", "wma bare"])
def test_objects_fill_the_header_and_the_file_knows_its_size(kind: str, genres: tuple[str, ...]) -> None:
    old = tagged(kind)
    new = rewritten(old, *genres)
    assert set(header(old)) <= set(header(new))
    assert (file_size(new) == len(new)) == (file_size(old) == len(old))
    assert [str(value) for value in mutagen.asf.ASF(io.BytesIO(new))["WM/Genre"]] == list(genres)


def test_padding_takes_up_the_difference() -> None:
    old = tagged("wma", ("Other",))
    assert asf.PADDING in header(old)
    assert len(rewritten(old, "Electronic")) == len(old)
    assert len(rewritten(old, "Pop")) == len(old)


def test_no_genres_leave_no_attribute() -> None:
    new = rewritten(tagged("wma", ("One", "Two", "Three")))
    assert "WM/Genre" not in mutagen.asf.ASF(io.BytesIO(new))


def test_what_asf_cannot_hold_is_refused() -> None:
    with pytest.raises(Malformed):
        rewritten(sample("wma"), "x" * 40_000)
    with pytest.raises(Malformed):
        rewritten(tagged("wma").replace(asf.EXTENSION, bytes(16)), "Rock", "Jazz")


def payload(data: bytes) -> list[tuple[int, int]]:
    file = io.BytesIO(data)
    return list(Asf(file, sniff(file)).payload())


def test_a_file_is_a_header_and_data() -> None:
    data = sample("wma")
    found = list(objects(io.BytesIO(data), 0, len(data)))
    assert [one.name for one in found[:2]] == [HEADER, DATA]
    assert payload(data) == [(found[1].body, found[1].end)]


def test_data_cut_short_end_with_the_file() -> None:
    data = sample("wma")[:-50]
    (span,) = payload(data)
    assert span[1] == len(data)


def test_refuse_behind_the_data_is_not_looked_at() -> None:
    data = sample("wma")
    assert payload(data + b"TAG" + bytes(125)) == payload(data)


@pytest.mark.parametrize("size", [0, 23, 1 << 63])
def test_an_object_of_impossible_size_is_malformed(size: int) -> None:
    data = HEADER + size.to_bytes(8, "little") + bytes(100)
    with pytest.raises(Malformed):
        list(objects(io.BytesIO(data), 0, len(data)))
