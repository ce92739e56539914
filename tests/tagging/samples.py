"""One short file of every format, made once a session, and the ways that tests write into them."""

from __future__ import annotations

import base64
import io
import random
import re
import struct
import tempfile
import zlib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import mutagen
import mutagen.apev2
import mutagen.asf
import mutagen.id3
import mutagen.mp4
import mutagen.ogg

from music_reclass.containers.mp4 import Mp4
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Element
from music_reclass.extractors.audio.synthesis import encode, song

SUFFIXES = {
    "mp3": ".mp3",
    "flac": ".flac",
    "vorbis": ".ogg",
    "opus": ".opus",
    "aac": ".m4a",
    "alac": ".m4a",
    "wav": ".wav",
    "aiff": ".aiff",
    "wma": ".wma",
    "wavpack": ".wv",
    "monkeys": ".ape",
    "tta": ".tta",
    "mka": ".mka",
}
CODECS = {"vorbis": "vorbis", "wav": "pcm", "monkeys": None}


def silent_monkeys_audio(blocks: int = 44100) -> bytes:
    """A Monkey's Audio file of one frame that says "all silence", which decoders accept; no encoder is at hand."""
    frame = struct.pack("<II", 0x80000000, 3) + bytes(8)  # no checksum, flags follow: both channels silent
    seek_table = struct.pack("<I", 52 + 24 + 4)
    descriptor = struct.pack("<4sHHIIIIIII16s", b"MAC ", 3990, 0, 52, 24, 4, 0, len(frame), 0, 0, bytes(16))
    header = struct.pack("<HHIIIHHI", 2000, 0, 73728 * 4, blocks, 1, 16, 2, 44100)
    return descriptor + header + seek_table + frame


@cache
def sample(name: str, seed: int = 1, seconds: float = 1.0) -> bytes:
    """The bytes of a synthesised file of one of SUFFIXES, as its encoder leaves it."""
    if name == "monkeys":
        return silent_monkeys_audio()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"tune{SUFFIXES[name]}"
        encode(path, song(seed, seconds), codec=CODECS.get(name, name))
        return path.read_bytes()


def without_id3(data: bytes) -> bytes:
    """An MP3 without the ID3v2 tag that its encoder put in front."""
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte
    return data[10 + size :] if data[:3] == b"ID3" else data


def id3v1(title: str, artist: str, genre: int) -> bytes:
    """An ID3v1.1 tag."""
    text = struct.pack("<30s30s30s4s28s", title.encode(), artist.encode(), b"An Album", b"1999", b"a comment")
    return b"TAG" + text + bytes([0, 7, genre])


def mp3gain() -> bytes:
    """The APE tag that mp3gain puts behind an MP3."""
    tag = mutagen.apev2.APEv2()
    tag.update({"MP3GAIN_MINMAX": "101,210", "MP3GAIN_UNDO": "+003,+003,N"})
    tag.update({"REPLAYGAIN_TRACK_GAIN": "-6.140000 dB", "REPLAYGAIN_TRACK_PEAK": "1.099921"})
    out = io.BytesIO()
    tag.save(out)
    return out.getvalue()


# --- files as other programs leave them ------------------------------------------------------------------------

COVER = b"\xff\xd8\xff\xe0" + random.Random(1).randbytes(10_000)
SUFFIX_OF_KIND = {
    "mp3 v2.2": ".mp3",
    "mp3 v2.3": ".mp3",
    "mp3 v2.3 unsynchronised": ".mp3",
    "mp3 v2.4": ".mp3",
    "mp3 v2.4 footer": ".mp3",
    "mp3 untagged": ".mp3",
    "mp3 v1": ".mp3",
    "mp3 ape": ".mp3",
    "mp3 ape v1": ".mp3",
    "mp3 gain": ".mp3",
    "mp3 v2.3 gain": ".mp3",
    "mp3 v2.3 ape": ".mp3",
    "flac": ".flac",
    "flac bare": ".flac",
    "flac id3": ".flac",
    "vorbis": ".ogg",
    "vorbis full page": ".ogg",
    "opus": ".opus",
    "aac": ".m4a",
    "aac bare": ".m4a",
    "aac moov first": ".m4a",
    "aac tight": ".m4a",
    "aac gnre": ".m4a",
    "aac no udta": ".m4a",
    "aac no udta, index first": ".m4a",
    "aac no meta": ".m4a",
    "aac no list": ".m4a",
    "aac no list, space behind": ".m4a",
    "aac no handler": ".m4a",
    "aac quicktime meta": ".m4a",
    "aac quicktime meta, no list": ".m4a",
    "aac fragmented": ".m4a",
    "aac fragmented, based": ".m4a",
    "alac": ".m4a",
    "wav": ".wav",
    "wav bare": ".wav",
    "wav info": ".wav",
    "wav odd": ".wav",
    "rf64": ".wav",
    "aiff": ".aiff",
    "aiff bare": ".aiff",
    "wma": ".wma",
    "wma bare": ".wma",
    "wavpack": ".wv",
    "wavpack bare": ".wv",
    "monkeys": ".ape",
    "tta": ".tta",
}
# Kinds that say one genre number, or nothing, and cannot be given others.
FIXED = ("mp3 untagged", "mp3 v1", "mp3 gain", "flac bare", "aac bare", "aac gnre", "wav bare", "aiff bare", "wma bare")
FIXED += ("wavpack bare", "mp3 v2.2", "mp3 v2.3 unsynchronised", "wav odd")
FIXED += tuple(kind for kind in SUFFIX_OF_KIND if kind.startswith(("aac no", "aac quick", "aac frag")))
KINDS = list(SUFFIX_OF_KIND)


def id3(genres: list[str] | None, version: int) -> bytes:
    """An ID3v2 tag with common, rare, unknown and compressed frames, and a cover."""
    tag = mutagen.id3.ID3()
    tag.add(mutagen.id3.TIT2(encoding=3, text=["A Title ✓"]))
    tag.add(mutagen.id3.TPE1(encoding=3, text=["One", "Two"]))
    tag.add(mutagen.id3.TXXX(encoding=0, desc="mood", text=["calm"]))
    tag.add(mutagen.id3.COMM(encoding=0, lang="eng", desc="", text=["a comment"]))
    tag.add(mutagen.id3.POPM(email="a@b", rating=200, count=3))
    tag.add(mutagen.id3.APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=COVER))
    part = mutagen.id3.CHAP(element_id="one", start_time=0, end_time=9, start_offset=0, end_offset=0)
    part.sub_frames.add(mutagen.id3.TIT2(encoding=0, text=["Chapter"]))
    tag.add(part)
    if genres is not None:
        tag.add(mutagen.id3.TCON(encoding=1, text=genres))
    file = io.BytesIO()
    tag.save(file, v2_version=version, v23_sep=None, padding=lambda info: 20)
    data = bytearray(file.getvalue())
    known = [(b"TSIZ", b"\0\0", b"\x004711"), (b"TRDA", b"\0\0", b"\0May"), (b"XYZW", b"\0\0", b"unknown")]
    body = zlib.compress(b"\0compressed text" * 9)
    length = struct.pack(">I", 144)
    known.append((b"TIT3", b"\0\x80" if version == 3 else b"\0\x09", length + body))
    known.append((b"TENC", b"\0\x40" if version == 3 else b"\0\x04", b"\x07secret"))
    more = b"".join(name + struct.pack(">I", len(body)) + flags + body for name, flags, body in known)
    end = len(data) - 20
    data[end:end] = more
    data[6:10] = _syncsafe(len(data) - 10)
    return bytes(data)


def _syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def _id3v22(genre: bytes) -> bytes:
    def frame(name: bytes, body: bytes) -> bytes:
        return name + len(body).to_bytes(3, "big") + body

    frames = frame(b"TT2", b"\0A Title") + frame(b"TCO", b"\0" + genre) + frame(b"PIC", b"\0JPG\x03\0" + COVER)
    return b"ID3\x02\0\0" + _syncsafe(len(frames) + 30) + frames + bytes(30)


def _id3v23_unsynchronised(genre: str) -> bytes:
    def frame(name: bytes, body: bytes) -> bytes:
        return name + len(body).to_bytes(4, "big") + b"\0\0" + body

    frames = frame(b"TIT2", b"\x01" + "A Title ÿ".encode("utf-16")) + frame(b"APIC", b"\0image/jpeg\0\x03\0" + COVER)
    frames += frame(b"TCON", b"\x01" + genre.encode("utf-16")) + frame(b"TPE1", b"\0Somebody\xff")
    stored = re.sub(rb"\xff(?=[\xe0-\xff\0]|$)", b"\xff\0", frames, flags=re.DOTALL) + bytes(12)
    return b"ID3\x03\0\x80" + _syncsafe(len(stored)) + stored


def _info(genre: str | None) -> bytes:
    entries = b"INAM\x07\0\0\0A Tune\0\0"
    if genre is not None:
        text = genre.encode() + b"\0"
        entries += b"IGNR" + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    entries += b"ISFT\x05\0\0\0Lavf\0\0"
    return b"LIST" + struct.pack("<I", len(entries) + 4) + b"INFO" + entries


def riff(data: bytes) -> bytes:
    """A WAV whose size field is right again."""
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def _rf64(data: bytes) -> bytes:
    at = data.index(b"data")
    sizes = struct.pack("<QQQI", len(data) + 28, int.from_bytes(data[at + 4 : at + 8], "little"), 0, 0)
    unknown = data[12:at] + b"data\xff\xff\xff\xff" + data[at + 8 :]
    return b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes + unknown


def moov_first(data: bytes, *, spare: int = 0) -> bytes:
    """An M4A laid out for streaming, with `spare` bytes of `free` behind the index."""
    found, at = {}, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        found[data[at + 4 : at + 8]] = (at, data[at : at + length])
        at += length
    head, moov, mdat = found[b"ftyp"][1], bytearray(found[b"moov"][1]), found[b"mdat"][1]
    free = struct.pack(">I", spare) + b"free" + bytes(spare - 8) if spare else b""
    shift = len(head) + len(moov) + len(free) - found[b"mdat"][0]
    at = moov.index(b"stco") + 4
    for number in range(int.from_bytes(moov[at + 4 : at + 8], "big")):
        where = at + 8 + 4 * number
        moov[where : where + 4] = struct.pack(">I", int.from_bytes(moov[where : where + 4], "big") + shift)
    return head + bytes(moov) + free + mdat


def _resized(data: bytearray, parents: Sequence[Element], more: int) -> bytes:
    """The data after the atoms around a change have got their new size."""
    for atom in parents:
        data[atom.start : atom.start + 4] = struct.pack(">I", atom.end - atom.start + more)
    return bytes(data)


def without_atom(data: bytes, name: bytes) -> bytes:
    """An M4A with its index at the end and without `udta`, `meta`, `hdlr` or `ilst`."""
    with io.BytesIO(data) as file:
        parents = Mp4(file, sniff(file)).parents
        inside = {one.name: one for one in (*parents, *Mp4(file, sniff(file)).children(parents[2]))}
    gone = inside[name]
    around = [one for one in parents if one.start < gone.start < one.end]
    return _resized(bytearray(data[: gone.start] + data[gone.end :]), around, gone.start - gone.end)


def quicktime_meta(data: bytes) -> bytes:
    """An M4A with its index at the end and a `meta` without version and flags."""
    with io.BytesIO(data) as file:
        parents = Mp4(file, sniff(file)).parents[:3]
    body = parents[2].body
    return _resized(bytearray(data[:body] + data[body + 4 :]), parents, -4)


def remuxed(flags: str, *, frame_duration: int = 300_000) -> bytes:
    """The M4A in fragments, as ffmpeg makes them with these `movflags`."""
    out = io.BytesIO()
    options = {"movflags": flags, "frag_duration": str(frame_duration), "fflags": "+bitexact"}
    with av.open(io.BytesIO(sample("aac"))) as source, av.open(out, "w", format="mp4", options=options) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return out.getvalue()


def _m4a(layout: str) -> bytes:
    """An M4A of a layout that has no tags, or that only some programs write."""
    data = sample("aac")
    named = {"no udta": b"udta", "no meta": b"meta", "no list": b"ilst"}
    layout, _, place = layout.partition(", ")
    if layout == "fragmented":
        return remuxed("empty_moov" if place else "empty_moov+default_base_moof+dash")
    if layout in named:
        data = without_atom(data, named[layout])
    elif layout == "no handler":
        data = without_atom(without_atom(data, b"ilst"), b"hdlr")
    else:
        data = quicktime_meta(without_atom(data, b"ilst") if place else _by_library("aac", "aac", data, ["Other"]))
    return {"index first": moov_first, "space behind": partial(moov_first, spare=300)}.get(place, bytes)(data)


@cache
def tagged(kind: str, genres: tuple[str, ...] | None = ("Other",)) -> bytes:
    """A file of one of KINDS with titles, pictures and oddities, and `genres` (ignored by the FIXED kinds)."""
    values = None if genres is None else list(genres)
    format_name, _, variant = kind.partition(" ")
    if kind == "rf64":
        return _rf64(riff(sample("wav") + _info(values[0] if values else None)))
    data = sample("wav" if format_name == "rf64" else format_name)
    if format_name == "mp3":
        stream = without_id3(data)
        ape = mutagen.apev2.APEv2()
        ape["Title"], ape["Mood"] = "A Title", ["calm", "warm"]
        if values is not None:
            ape["gEnRe"] = values
        behind = io.BytesIO()
        ape.save(behind)
        footed = bytearray(id3(values, 4)[:-20])
        footed[5], footed[6:10] = 0x10, _syncsafe(len(footed) - 10)
        return {
            "v2.2": lambda: _id3v22(b"(17)") + stream,
            "v2.3": lambda: id3(values, 3) + stream + id3v1("A Title", "One", 17),
            "v2.3 unsynchronised": lambda: _id3v23_unsynchronised("Ünknown") + stream,
            "v2.4": lambda: id3(values, 4) + stream,
            "v2.4 footer": lambda: bytes(footed) + b"3DI" + bytes(footed[3:10]) + stream,
            "untagged": lambda: stream,
            "v1": lambda: stream + id3v1("A Title", "Somebody", 12),
            "ape": lambda: stream + behind.getvalue(),
            "ape v1": lambda: stream + behind.getvalue() + id3v1("A Title", "Somebody", 12),
            "gain": lambda: stream + mp3gain(),
            "v2.3 gain": lambda: id3(values, 3) + stream + mp3gain(),
            "v2.3 ape": lambda: id3(values, 3) + stream + behind.getvalue(),
        }[variant]()
    if variant == "bare":
        return data
    if variant.startswith(("no ", "quicktime", "fragmented")):
        return _m4a(variant)
    if kind == "wav info":
        return riff(data + _info(values[0] if values else None))
    if kind == "wav odd":  # the last chunk has an odd length and its pad byte is missing
        return riff(data + b"junk\x03\0\0\0abc")
    return _by_library(kind, format_name, data, ["Xy"] if kind == "aac gnre" else values)


def _by_library(kind: str, format_name: str, data: bytes, values: list[str] | None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"tune{SUFFIX_OF_KIND[kind]}"
        path.write_bytes(data)
        file: Any = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        if format_name in ("wav", "aiff", "tta"):
            file.tags.add(mutagen.id3.TIT2(encoding=3, text=["A Title"]))
            file.tags.add(mutagen.id3.APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=COVER))
            if values is not None:
                file.tags.add(mutagen.id3.TCON(encoding=3, text=values))
        elif format_name in ("aac", "alac"):
            cover = mutagen.mp4.MP4Cover(COVER, mutagen.mp4.MP4Cover.FORMAT_JPEG)
            file.tags.update({"\xa9nam": "A Title", "covr": [cover], "trkn": [(1, 9)], "tmpo": [120]})
            file.tags["----:com.apple.iTunes:MOOD"] = [b"calm"]
            if values is not None:
                file.tags["\xa9gen"] = values
        elif format_name == "wma":
            file["Title"], file["WM/Year"], file["WM/IsCompilation"] = "A Title", "1999", True
            file["WM/Picture"] = mutagen.asf.ASFByteArrayAttribute(b"\x03" + COVER)
            if values is not None:
                file["WM/Genre"] = values
        else:
            file.tags["Title"] = "A Title"
            if format_name in ("vorbis", "opus"):
                file.tags["METADATA_BLOCK_PICTURE"] = base64.b64encode(COVER * 3).decode()
            if values is not None:
                file.tags["Genre"] = values
        file.save()
        if kind == "vorbis full page":  # one entry more and the comment needs another page
            room = 255 * 255 - _comment_pages(path.read_bytes())
            file.tags["DESCRIPTION"] = "y" * (room - 40)
            file.save(padding=lambda info: 0)
        if kind == "aac tight":
            file.save(padding=lambda info: 0)
        if kind == "flac id3":
            return id3(["Other"], 3) + path.read_bytes()
        data = path.read_bytes()
    if kind in ("aac moov first", "aac tight"):
        return moov_first(data, spare=0 if kind == "aac tight" else 200)
    if kind == "aac gnre":
        text = struct.pack(">I4sI4sII2s", 26, b"\xa9gen", 18, b"data", 1, 0, b"Xy")
        return data.replace(text, struct.pack(">I4sI4sIIH", 26, b"gnre", 18, b"data", 0, 0, 18))
    return data


def _comment_pages(data: bytes) -> int:
    """How many bytes the first two packets behind the identification take."""
    pages, file = [], io.BytesIO(data)
    for _ in range(3):
        pages.append(mutagen.ogg.OggPage(file))
    packets = mutagen.ogg.OggPage.to_packets(pages[1:])
    return len(packets[0]) + (len(packets[1]) if len(packets) > 1 else 0)
