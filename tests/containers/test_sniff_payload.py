"""The payload digest depends on the sound and on nothing else, whatever the file claims about itself."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tracemalloc
from pathlib import Path

import mutagen
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.mp3
import mutagen.ogg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.containers.flac import Flac
from music_reclass.containers.sniff import PayloadReader, payload_digest, sniff
from music_reclass.errors import FailTrack
from tests.tagging.samples import SUFFIXES, id3v1, sample, without_id3

TAGGABLE = [name for name in SUFFIXES if name not in ("mka", "tta", "monkeys")]


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def digest_of(folder: Path, data: bytes) -> bytes:
    return payload_digest(put(folder, "any", data))


def id3(*frames: mutagen.id3.Frame, version: int = 4) -> bytes:
    tag, file = mutagen.id3.ID3(), io.BytesIO()
    for frame in frames:
        tag.add(frame)
    tag.save(file, v2_version=version)
    return file.getvalue()


def ape_tag(value: str) -> bytes:
    tag, file = mutagen.apev2.APEv2(), io.BytesIO()
    tag["Genre"] = value
    tag.save(file)
    return file.getvalue()


@pytest.mark.parametrize("name", TAGGABLE)
def test_retagging_does_not_change_the_digest(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, f"tune{SUFFIXES[name]}", sample(name))
    before = payload_digest(path)
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    picture = os.urandom(200_000).hex()
    if isinstance(file.tags, mutagen.id3.ID3):
        file.tags.add(mutagen.id3.TIT2(encoding=3, text=[picture]))
    elif name in ("aac", "alac"):
        file.tags["\xa9nam"] = [picture]
    elif name == "wma":
        file["WM/Lyrics"] = [picture[:30000]]
    else:
        file["TITLE"] = picture
    file.save()
    assert path.stat().st_size > len(sample(name))
    assert payload_digest(path) == before


@pytest.mark.parametrize("name", list(SUFFIXES))
def test_other_sound_gives_another_digest(tmp_path: Path, name: str) -> None:
    changed = bytearray(sample(name))
    changed[-6 if name == "monkeys" else len(changed) // 2] ^= 0x10
    assert digest_of(tmp_path, bytes(changed)) != digest_of(tmp_path, sample(name))


@pytest.mark.parametrize("name", list(SUFFIXES))
def test_the_name_and_the_place_do_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    first = put(tmp_path, f"a{SUFFIXES[name]}", sample(name))
    second = put(tmp_path / "elsewhere", "b.bin", sample(name))
    assert payload_digest(first) == payload_digest(second)


@pytest.mark.parametrize("name", ["mp3", "flac", "wavpack", "monkeys", "tta"])
def test_tags_in_front_and_behind_are_left_out(tmp_path: Path, name: str) -> None:
    stream = without_id3(sample(name))
    plain = digest_of(tmp_path, stream)
    title = mutagen.id3.TIT2(encoding=3, text=["A title"])
    head = id3(title)
    footed = bytearray(id3(title))
    footed[5] |= 0x10
    footed += b"3DI" + footed[3:10]
    lyrics = b"LYRICSBEGININD0000200LYR00005hello"
    lyrics3 = lyrics + b"%06d" % len(lyrics) + b"LYRICS200"
    v1 = id3v1("A title", "Somebody", 17)
    enhanced = b"TAG+" + bytes(223)
    for front in (b"", head, head + head, bytes(footed)):
        for behind in (b"", v1, enhanced + v1, ape_tag("Rock"), ape_tag("Rock") + v1, lyrics3 + v1, bytes(footed)):
            assert digest_of(tmp_path, front + stream + behind) == plain


def test_vorbis_pages_may_be_renumbered_and_laid_out_anew(tmp_path: Path) -> None:
    data = sample("vorbis")
    path = put(tmp_path, "a.ogg", data)
    before = payload_digest(path)
    file = mutagen.File(path)
    file["METADATA_BLOCK_PICTURE"] = "x" * 200_000  # several more pages in front of the sound
    file.save()
    assert payload_digest(path) == before
    with path.open("rb") as opened:
        pages = []
        while True:
            try:
                pages.append(mutagen.ogg.OggPage(opened))
            except EOFError:
                break
    packets = mutagen.ogg.OggPage.to_packets(pages)
    again = mutagen.ogg.OggPage.from_packets(packets, default_size=8000)
    again[-1].position = pages[-1].position
    again[0].first, again[-1].last = True, True
    for page in again:
        page.serial = pages[0].serial
    assert [p.write() for p in again] != [p.write() for p in pages]
    assert digest_of(tmp_path, b"".join(page.write() for page in again)) == before


def test_the_place_of_the_moov_atom_does_not_matter(tmp_path: Path) -> None:
    from music_reclass.containers.mp4 import atoms

    path = put(tmp_path, "a.m4a", sample("aac"))
    with path.open("rb") as file:
        parts = {atom.name: sample("aac")[atom.start : atom.end] for atom in atoms(file, 0, path.stat().st_size)}
    moved = parts[b"ftyp"] + parts[b"moov"] + parts[b"mdat"]
    assert digest_of(tmp_path, moved) == payload_digest(path)


def test_a_wav_with_more_chunks_and_an_rf64_of_the_same_sound_are_equal(tmp_path: Path) -> None:
    data = sample("wav")
    fmt, sound = data[data.index(b"fmt ") :][:24], data[data.index(b"data") + 8 :]
    length = struct.pack("<I", len(sound))
    extra = b"cue \x03\x00\x00\x00abc\x00"
    plain = b"WAVE" + fmt + b"data" + length + sound
    more = b"WAVE" + extra + fmt + b"data" + length + sound + extra
    sizes = struct.pack("<QQQI", 0, len(sound), 0, 0)
    large = b"WAVEds64" + struct.pack("<I", len(sizes)) + sizes + fmt + b"data\xff\xff\xff\xff" + sound
    digests = {
        digest_of(tmp_path, b"RIFF" + struct.pack("<I", len(plain)) + plain),
        digest_of(tmp_path, b"RIFF" + struct.pack("<I", len(more)) + more),
        digest_of(tmp_path, b"RF64\xff\xff\xff\xff" + large + extra),
    }
    assert len(digests) == 1


def test_what_is_no_known_container_counts_as_a_whole(tmp_path: Path) -> None:
    assert digest_of(tmp_path, b"words") != digest_of(tmp_path, b"words ")
    assert digest_of(tmp_path, b"") == digest_of(tmp_path, b"")


def test_a_file_of_tags_alone_counts_as_a_whole(tmp_path: Path) -> None:
    one, two = (id3(mutagen.id3.TIT2(encoding=3, text=[text])) for text in ("one", "two"))
    assert digest_of(tmp_path, one) != digest_of(tmp_path, two)


@pytest.mark.parametrize("name", list(SUFFIXES))
def test_a_truncated_file_has_a_digest(tmp_path: Path, name: str) -> None:
    data = sample(name)
    for count in (1, 4, 9, 12, 27, 40, 100, 300, len(data) // 3, len(data) - 1):
        assert len(digest_of(tmp_path, data[:count])) == 20


@given(
    name=st.sampled_from(list(SUFFIXES)),
    where=st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=8)), max_size=6),
)
def test_lies_in_the_headers_never_crash(tmp_path_factory: pytest.TempPathFactory, name: str, where: list) -> None:
    data = bytearray(sample(name)[:6000])
    for position, patch in where:
        data[position : position + len(patch)] = patch
    assert len(digest_of(tmp_path_factory.getbasetemp(), bytes(data))) == 20


def test_millions_of_empty_tags_do_not_hold_up_a_scan(tmp_path: Path) -> None:
    assert len(digest_of(tmp_path, b"ID3\x04\x00\x00\x00\x00\x00\x00" * 300_000)) == 20


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    data = sample("wav")[: sample("wav").index(b"data") + 4]
    with path.open("wb") as file:
        file.write(data + struct.pack("<I", 64 << 20))
        file.truncate(len(data) + 4 + (64 << 20))  # 64 MiB of silence that take no space
    tracemalloc.start()
    payload_digest(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_what_cannot_be_read_is_a_typed_failure(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    for name, reason in (("nothing.mp3", "vanished"), ("pipe.mp3", "io"), ("", "io")):
        with pytest.raises(FailTrack) as caught:
            payload_digest(tmp_path / name)
        assert caught.value.reason == reason


CONTAINERS = {
    "mp3": "mpeg", "flac": "flac", "vorbis": "ogg", "opus": "ogg", "aac": "mp4", "alac": "mp4", "wav": "wav",
    "aiff": "aiff", "wma": "asf", "wavpack": "wavpack", "monkeys": "monkeys", "tta": "tta", "mka": "",
}  # fmt: skip


@pytest.mark.parametrize("name", list(SUFFIXES))
def test_a_container_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    with put(tmp_path, "any", sample(name)).open("rb") as file:
        assert sniff(file).container == CONTAINERS[name]


@pytest.mark.parametrize("name", list(SUFFIXES))
def test_reading_a_file_once_gives_its_bytes_and_the_same_digest(tmp_path: Path, name: str) -> None:
    for data in (sample(name), sample(name)[:-7], sample(name)[:40], b"junk" + sample(name), sample(name) + b"refuse"):
        reader = PayloadReader(io.BytesIO(data))
        assert b"".join(reader) == data
        assert reader.digest() == digest_of(tmp_path, data)


@pytest.mark.parametrize("spans", [[(50, 90), (40, 60)], [(50, 90), (80, 1 << 20)]])
def test_spans_that_contradict_each_other_give_every_byte_once(
    spans: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Flac, "payload", lambda self: iter(spans))
    data = sample("flac")
    reader = PayloadReader(io.BytesIO(data))
    assert b"".join(reader) == data
    assert reader.digest() == hashlib.blake2b(data, digest_size=20, person=b"whole").digest()
