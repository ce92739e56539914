"""ASF: every size and count above the attribute is right after an edit."""

from __future__ import annotations

import io

import mutagen.asf
import pytest

from music_reclass.containers import asf
from music_reclass.containers.asf import objects
from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import sample, tagged


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    layout = sniff(file)
    raw = asf.encode(file, layout, genres) if genres else ()
    return b"".join(patched(file, tidy(file, asf.splice(file, layout, raw))))


def header(data: bytes) -> list[bytes]:
    """The kinds of the objects in the header; Malformed where they do not fill it."""
    whole = next(objects(io.BytesIO(data), 0, len(data)))
    inner = list(objects(io.BytesIO(data), whole.start + 30, whole.end))
    assert inner[-1].end == whole.end
    assert int.from_bytes(data[24:28], "little") == len(inner)
    return [one.kind for one in inner]


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
