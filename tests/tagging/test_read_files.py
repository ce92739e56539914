"""Tags are read decoded, from every format, and damaged ones are a typed failure."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
from pathlib import Path
from typing import Any

import mutagen
import mutagen.apev2
import mutagen.id3
import mutagen.mp4
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import TrackTags
from music_reclass.errors import FailTrack, TrackError
from music_reclass.tagging.read import read_tags
from tests.tagging.samples import SUFFIXES, id3v1, sample, without_id3

FULL = TrackTags(("Rock", "Jazz"), "A Title", "An Artist", "Everybody", "An Album", True)
WORDS = {"title": "A Title", "artist": "An Artist", "album": "An Album"}


def put(folder: Path, name: str, data: bytes | None = None) -> Path:
    path = folder / f"tune{SUFFIXES[name]}"
    path.write_bytes(sample(name) if data is None else data)
    return path


def fill(path: Path) -> None:
    """Write FULL with the tag library, as other programs do."""
    file: Any = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, mutagen.id3.ID3):
        for frame, text in (("TIT2", "A Title"), ("TPE1", "An Artist"), ("TPE2", "Everybody")):
            file.tags.add(getattr(mutagen.id3, frame)(encoding=3, text=[text]))
        for frame, texts in (("TALB", ["An Album"]), ("TCMP", ["1"]), ("TCON", ["Rock", "Jazz"])):
            file.tags.add(getattr(mutagen.id3, frame)(encoding=3, text=texts))
    elif isinstance(file.tags, mutagen.mp4.MP4Tags):
        file.tags.update({"\xa9nam": "A Title", "\xa9ART": "An Artist", "aART": "Everybody", "cpil": True})
        file.tags.update({"\xa9alb": "An Album", "\xa9gen": ["Rock", "Jazz"]})
    elif path.suffix == ".wma":
        file["Title"], file["Author"], file["WM/AlbumArtist"] = "A Title", "An Artist", "Everybody"
        file["WM/AlbumTitle"], file["WM/IsCompilation"], file["WM/Genre"] = "An Album", True, ["Rock", "Jazz"]
    else:
        for key, value in WORDS.items():
            file.tags[key] = value
        file.tags["Album Artist" if path.suffix in (".ape", ".wv") else "albumartist"] = "Everybody"
        file.tags["compilation"], file.tags["genre"] = "1", ["Rock", "Jazz"]
    file.save()


@pytest.mark.parametrize("name", [name for name in SUFFIXES if name != "mka"])
def test_every_field_of_every_format_is_read(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, name)
    assert read_tags(path) == TrackTags()
    fill(path)
    assert read_tags(path) == FULL


def test_matroska_is_read_through_the_decoder_library(tmp_path: Path) -> None:
    import av

    path = tmp_path / "tune.mka"
    with av.open(io.BytesIO(sample("mka"))) as source, av.open(str(path), "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        target.metadata.update({"GENRE": "Rock", "ARTIST": "An Artist", "title": "A Title"})
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert read_tags(path) == TrackTags(("Rock",), "A Title", "An Artist")


@pytest.mark.parametrize(
    ("version", "text", "genres"),
    [
        (4, ["17"], ("Rock",)),
        (4, ["(17)"], ("Rock",)),
        (4, ["(4)Eurodisco"], ("Disco", "Eurodisco")),
        (4, ["(51)(39)"], ("Techno-Industrial", "Noise")),
        (4, ["RX"], ("Remix",)),
        (4, ["CR"], ("Cover",)),
        (3, ["(17)(13)"], ("Rock", "Pop")),
        (3, ["(17)Rock"], ("Rock",)),
        (3, ["(4)Eurodisco"], ("Disco", "Eurodisco")),
        (3, ["Rock\0Pop"], ("Rock", "Pop")),
        (4, ["Rock/Pop"], ("Rock/Pop",)),
        (4, ["Rock; Pop"], ("Rock; Pop",)),
        (4, ["  Rock ", "Rock", ""], ("Rock",)),
        (3, ["Ænima ✓"], ("Ænima ✓",)),
    ],
)
def test_id3_numbers_become_words_and_joined_words_stay_joined(
    tmp_path: Path, version: int, text: list[str], genres: tuple[str, ...]
) -> None:
    path = put(tmp_path, "mp3", without_id3(sample("mp3")))
    tag = mutagen.id3.ID3()
    tag.add(mutagen.id3.TCON(encoding=1, text=text))
    tag.save(path, v2_version=version, v23_sep=None)
    assert read_tags(path).genres == genres


def test_an_empty_genre_is_not_an_absent_one(tmp_path: Path) -> None:
    empty = b"ID3\x03\0\0\0\0\0\x0cTCON\0\0\0\x02\0\0\0\0"
    assert read_tags(put(tmp_path, "mp3", empty + without_id3(sample("mp3")))).genres == ()
    path = put(tmp_path, "flac")
    flac = mutagen.File(path)
    flac["GENRE"] = [""]
    flac.save()
    assert read_tags(path).genres == ()


def test_id3v1_alone_is_read(tmp_path: Path) -> None:
    stream = without_id3(sample("mp3"))
    assert read_tags(put(tmp_path, "mp3", stream + id3v1("A Title", "Somebody", 17))) == TrackTags(
        ("Rock",), "A Title", "Somebody", "", "An Album"
    )
    assert read_tags(put(tmp_path, "mp3", stream + id3v1("A Title", "Somebody", 255))).genres is None


def test_an_ape_tag_in_an_mp3_speaks_where_id3v2_is_silent(tmp_path: Path) -> None:
    stream = without_id3(sample("mp3"))
    path = put(tmp_path, "mp3", stream)
    ape = mutagen.apev2.APEv2()
    ape["Genre"], ape["Artist"] = "Shoegaze", "From APE"
    ape.save(path)
    assert read_tags(path).genres == ("Shoegaze",)
    path.write_bytes(path.read_bytes() + id3v1("A Title", "From ID3v1", 12))
    assert read_tags(path) == TrackTags(("Shoegaze",), "A Title", "From APE", "", "An Album")
    tag = mutagen.id3.ID3()
    tag.add(mutagen.id3.TCON(encoding=3, text=["Rock"]))
    tag.save(path)
    assert read_tags(path).genres == ("Rock",)


def test_the_numbered_genre_of_an_old_m4a_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, "aac")
    mp4 = mutagen.mp4.MP4(path)
    mp4["\xa9gen"] = "Xy"
    mp4.save()
    data = path.read_bytes()
    text = struct.pack(">I4sI4sII2s", 26, b"\xa9gen", 18, b"data", 1, 0, b"Xy")
    assert text in data
    path.write_bytes(data.replace(text, struct.pack(">I4sI4sIIH", 26, b"gnre", 18, b"data", 0, 0, 18)))
    assert read_tags(path).genres == ("Rock",)


def test_the_info_list_of_a_wav_is_read(tmp_path: Path) -> None:
    entries = b"IGNR\x05\0\0\0Rock\0\0" + b"IART\x04\0\0\0\xc3\xa9a\0" + b"INAM\x03\0\0\0\xe9a\0\0"
    data = sample("wav") + b"LIST" + struct.pack("<I", len(entries) + 4) + b"INFO" + entries
    path = put(tmp_path, "wav", data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    assert read_tags(path) == TrackTags(("Rock",), "éa", "éa")


def test_a_streamed_wav_of_unknown_length_is_read(tmp_path: Path) -> None:
    data = sample("wav")
    at = data.index(b"data") + 4
    unknown = data[:4] + b"\xff" * 4 + data[8:at] + b"\xff" * 4 + data[at + 4 :]
    assert read_tags(put(tmp_path, "wav", unknown)) == TrackTags()


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = put(tmp_path, "flac")
    fill(path)
    renamed = path.rename(tmp_path / "tune.mp3")
    assert read_tags(renamed) == FULL


def test_an_mp3_behind_uncounted_padding_is_an_mp3(tmp_path: Path) -> None:
    tag = b"ID3\x04\0\0\0\0\0\x10" + b"TCON\0\0\0\x05\0\0\x03Rock\0"
    path = put(tmp_path, "mp3", tag + b"\0" + bytes(2000) + without_id3(sample("mp3")))
    assert read_tags(path).genres == ("Rock",)


def test_a_damaged_tag_is_a_failure_that_names_the_file(tmp_path: Path) -> None:
    path = put(tmp_path, "mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + without_id3(sample("mp3")))
    with pytest.raises(FailTrack) as caught:
        read_tags(path)
    assert caught.value.reason == "tags"
    assert path.name in caught.value.detail
    with pytest.raises(FailTrack) as caught:
        read_tags(tmp_path / "nothing.mp3")
    assert caught.value.reason == "vanished"


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(list(SUFFIXES)),
    cut=st.integers(0, 3000),
    lies=st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=8)), max_size=8),
)
def test_lies_in_a_file_end_in_tags_or_in_a_typed_failure(
    tmp_path_factory: pytest.TempPathFactory, name: str, cut: int, lies: list[tuple[int, bytes]]
) -> None:
    data = bytearray(sample(name)[: 3000 - cut])
    for at, lie in lies:
        data[at : at + len(lie)] = lie
    path = put(tmp_path_factory.getbasetemp(), name, bytes(data))
    with contextlib.suppress(TrackError):
        assert isinstance(read_tags(path), TrackTags)


def test_the_reader_can_be_sent_to_a_worker() -> None:
    assert pickle.loads(pickle.dumps(read_tags)) is read_tags
