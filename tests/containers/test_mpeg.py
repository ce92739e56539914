"""MP3: frames known from chance, which of the tags is written to, and what a new one says."""

from __future__ import annotations

import io
import random

import av
import mutagen.apev2
import mutagen.id3
import pytest

from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.id3 import encode, id3v2_end, texts
from music_reclass.containers.mpeg import Mpeg, first_frames, mpeg_frame
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import id3, id3v1, mp3gain, sample, tagged, without_id3


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    container = Mpeg(file, sniff(file))
    raw = container.encode(genres) if genres else ()
    return b"".join(patched([data], tidy(file, container.splice(raw))))


def test_a_file_without_any_tag_gets_id3v24() -> None:
    stream = without_id3(sample("mp3"))
    new = rewritten(stream, "Rock", "Jazz")
    tag = mutagen.id3.ID3(io.BytesIO(new))
    assert (tag.version, tag["TCON"].genres, list(tag)) == ((2, 4, 0), ["Rock", "Jazz"], ["TCON"])
    assert new.endswith(stream)
    assert rewritten(stream) == stream


def id3_of(data: bytes) -> mutagen.id3.ID3:
    return mutagen.id3.ID3(io.BytesIO(data), load_v1=False)


def ape(**items: str | list[str] | bytes) -> bytes:
    """An APE tag; `_` in a key stands for a space."""
    tag = mutagen.apev2.APEv2()
    for key, value in items.items():
        tag[key.replace("_", " ")] = mutagen.apev2.APEBinaryValue(value) if isinstance(value, bytes) else value
    out = io.BytesIO()
    tag.save(out)
    return out.getvalue()


STREAM = without_id3(sample("mp3"))


def test_an_mp3_with_an_ape_tag_alone_gets_id3v2_that_says_the_same_and_both_have_the_genre() -> None:
    new = rewritten(tagged("mp3 ape"), "Rock", "Jazz")
    tag, behind = id3_of(new), mutagen.apev2.APEv2(io.BytesIO(new))
    assert (tag.version, tag["TCON"].genres) == ((2, 4, 0), ["Rock", "Jazz"])
    assert (tag["TIT2"].text, tag["TXXX:Mood"].text) == (["A Title"], ["calm", "warm"])
    assert (list(behind["Genre"]), str(behind["Title"])) == (["Rock", "Jazz"], "A Title")
    with av.open(io.BytesIO(new)) as file:
        assert (file.metadata["genre"], file.metadata["title"]) == ("Rock", "A Title")


def test_the_genre_joins_an_ape_tag_that_names_the_song_and_has_none() -> None:
    new = rewritten(STREAM + ape(Title="A Title"), "Rock")
    assert list(mutagen.apev2.APEv2(io.BytesIO(new))["Genre"]) == ["Rock"]


def test_what_mp3gain_has_written_is_left_as_it_is_and_not_repeated() -> None:
    for kind in ("mp3 gain", "mp3 v2.3 gain"):
        new = rewritten(tagged(kind), "Rock")
        assert new.endswith(STREAM + mp3gain())
        assert id3_of(new)["TCON"].genres == ["Rock"]
    assert list(id3_of(rewritten(tagged("mp3 gain"), "Rock"))) == ["TCON"]


def test_an_ape_genre_beside_id3v2_follows_it_where_both_said_the_same() -> None:
    for values in (("Other",), ("Ünïque ✓", "Jazz")):
        new = rewritten(tagged("mp3 v2.3 ape", values), "Rock", "Pop")
        assert list(mutagen.apev2.APEv2(io.BytesIO(new))["Genre"]) == ["Rock", "Pop"]
    silent = id3(None, 3) + STREAM + ape(Genre="Other")
    assert list(mutagen.apev2.APEv2(io.BytesIO(rewritten(silent, "Rock")))["Genre"]) == ["Rock"]


def test_an_ape_genre_that_says_something_else_than_id3v2_is_left_as_it_is() -> None:
    for behind in (ape(Genre="Shoegaze"), ape(Title="A Title"), ape(Genre=b"Other")):
        new = rewritten(id3(["Other"], 3) + STREAM + behind, "Rock")
        assert new.endswith(STREAM + behind)
        assert rewritten(new).endswith(STREAM + behind)


def test_an_ape_tag_that_cannot_be_read_is_left_alone_beside_id3v2_and_refused_without() -> None:
    broken = ape(Genre="Other", Mood="calm").replace(b"Mood\0", b"Mo\xf6d\0")
    assert rewritten(id3(["Other"], 3) + STREAM + broken, "Rock").endswith(STREAM + broken)
    with pytest.raises(Malformed, match="no ASCII text"):
        rewritten(STREAM + broken, "Rock")


def test_ape_items_become_the_frames_of_the_same_meaning() -> None:
    behind = ape(
        Artist=["One", "Two"], Album="An Album", Album_Artist="Everybody", Year="1999-05", Track="3/12", Disc="1",
        Composer="Somebody", Comment="a comment", BPM="fast", Cover_Art=b"a picture", Cuesheet="REM",
    )  # fmt: skip
    tag = id3_of(rewritten(STREAM + behind, "Rock"))
    found = {key: list(map(str, tag[key].text)) for key in tag}
    assert found == {
        "TPE1": ["One", "Two"], "TALB": ["An Album"], "TPE2": ["Everybody"], "TDRC": ["1999-05"], "TRCK": ["3/12"],
        "TPOS": ["1"], "TCOM": ["Somebody"], "COMM::eng": ["a comment"], "TXXX:BPM": ["fast"], "TXXX:Cuesheet": ["REM"],
        "TCON": ["Rock"],
    }  # fmt: skip


def test_the_full_title_of_an_ape_tag_is_repeated_and_not_the_short_one_of_id3v1() -> None:
    old = STREAM + ape(Title="T" * 40) + id3v1("T" * 30, "Somebody", 12)
    tag = id3_of(rewritten(old, "Rock"))
    assert (tag["TIT2"].text, tag["TPE1"].text) == (["T" * 40], ["Somebody"])


def test_an_ape_tag_that_looks_like_id3v1_is_not_repeated_as_one() -> None:
    behind = next(tag for tag in (ape(Title="T" * length) for length in range(1, 99)) if len(tag) == 131)
    assert behind[3:6] == b"TAG"
    assert set(id3_of(rewritten(STREAM + behind, "Rock"))) == {"TIT2", "TCON"}


def test_a_tta_file_with_an_ape_tag_keeps_its_genre_there() -> None:
    stream = tagged("tta")
    stream = stream[id3v2_end(io.BytesIO(stream), 0, len(stream)) :]
    new = rewritten(stream + ape(Title="A Title"), "Rock")
    assert new.startswith(b"TTA1")
    assert list(mutagen.apev2.APEv2(io.BytesIO(new))["Genre"]) == ["Rock"]


def test_the_first_of_several_id3_tags_is_the_one() -> None:
    first, second = id3(["One"], 3), id3(["Two"], 4)
    new = rewritten(first + second + without_id3(sample("mp3")), "Rock")
    assert mutagen.id3.ID3(io.BytesIO(new))["TCON"].genres == ["Rock"]
    assert second in new


@pytest.mark.parametrize(("year", "kept"), [(b"1999", True), (b"99  ", False), (b"abcd", False)])
def test_id3v1_fields_are_repeated_where_they_make_sense(year: bytes, kept: bool) -> None:
    old = id3v1("T" * 40, "Ünïque", 17).replace(b"1999", year)
    new = rewritten(without_id3(sample("mp3")) + old, "Rock")
    tag = mutagen.id3.ID3(io.BytesIO(new), load_v1=False)
    assert tag["TIT2"].text == ["T" * 30]
    assert ("TDRC" in tag) == kept
    assert tag["TRCK"].text == ["7"]
    assert tag.getall("COMM")[0].desc == ""
    assert new.endswith(old)


def test_a_field_of_another_kind_of_tag_is_refused() -> None:
    for data in (tagged("mp3 untagged"), tagged("mp3 ape"), tagged("mp3 v2.4")):
        file = io.BytesIO(data)
        with pytest.raises(Malformed, match="another kind"):
            Mpeg(file, sniff(file)).splice((("TCON/3", b"\0\0\0Rock"),))
    file = io.BytesIO(tagged("mp3 v2.4"))
    with pytest.raises(Malformed, match="another kind"):
        Mpeg(file, sniff(file)).splice((("APE", b"Rock"),))


def test_values_of_frames_are_read_in_every_coding() -> None:
    for genres in (["Rock", "Jazz"], ["Ünïque ✓"], ["日本", "Ænima"]):
        for version in (2, 3, 4):
            assert texts(encode(genres, version)[0][1], version) == tuple(genres)
    assert texts(b"\0\0\x02" + "Rök".encode("utf-16-be"), 4) == ("Rök",)
    for unread in (b"\0\x80\0Rock", b"\0\0\x09Rock", b"\0\0\x03\xff", b"\0\0", b""):
        assert texts(unread, 4) == ()


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("fffb9064", 417),  # version 1, layer 3, 128 kb/s, 44.1 kHz
        ("fffb9264", 418),  # the same, padded
        ("fff38064", 208),  # version 2, layer 3, 64 kb/s, 22.05 kHz
        ("ffe38464", 72 * 64000 // 12000),  # version 2.5, 12 kHz
        ("fffd9064", 144 * 160000 // 44100),  # layer 2
        ("ffff9064", 12 * 288000 // 44100 * 4),  # layer 1
        ("fff19064", 0),  # ADTS
        ("fffbf064", 0),
        ("fffb9c64", 0),
        ("ffeb9064", 0),
        ("00fb9064", 0),
        ("fffb", 0),
    ],
)
def test_the_length_of_a_frame_follows_from_its_header(header: str, length: int) -> None:
    assert mpeg_frame(bytes.fromhex(header))[0] == length


def found(data: bytes) -> str:
    return first_frames(io.BytesIO(data), 0, len(data))


def test_frames_in_a_row_are_found_behind_refuse() -> None:
    stream = without_id3(sample("mp3"))
    assert found(stream) == "mp3"
    assert found(bytes(3000) + b"\xff\xfb\x90\x64 refuse" + stream) == "mp3"
    assert found(bytes(300_000) + stream) == ""


def test_noise_is_no_mpeg() -> None:
    assert found(random.Random(3).randbytes(1 << 16)) == ""
    assert found(b"\xff" * (1 << 16)) == ""
