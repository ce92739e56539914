"""Reads the tags of a file with mutagen, behind one error boundary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from music_reclass.containers.ape import id3v1_tag
from music_reclass.containers.asf import STYLE_KEYS as ASF_STYLES
from music_reclass.containers.edits import STYLE
from music_reclass.containers.mp4 import Mp4
from music_reclass.containers.riff import Wav
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Layout, Malformed, Unwritable, file_failure, opened, read_at, size_of
from music_reclass.domain import TrackTags
from music_reclass.errors import FailTrack, ReclassError, SkipTrack, TrackError
from music_reclass.tagging.bounds import allow_one_tag, refuse_hostile


@contextmanager
def tag_errors(path: Path) -> Iterator[None]:
    """Turns every exception of the block into a TrackError that names the file."""
    import mutagen

    try:
        yield
    except (TrackError, ReclassError):
        raise
    except MemoryError as error:
        raise FailTrack("memory", f"the tags of {path.name} need more memory than there is.") from error
    except Unwritable as error:
        raise FailTrack("unsupported", f"the genre of {path.name} cannot be written: {error}.") from error
    except (mutagen.MutagenError, Malformed) as error:
        why = str(error) or type(error).__name__
        raise FailTrack("tags", f"the tags of {path.name} cannot be read ({why}).") from error
    except OSError as error:
        raise file_failure(error, path) from error
    except Exception as error:  # IndexError, ValueError, struct.error, AttributeError ...: seen on damaged files
        raise FailTrack(
            "bug", f"the tag library stumbled over {path.name} ({type(error).__name__}: {error})."
        ) from error


NO_TAGS = TrackTags()
TRUE_WORDS = frozenset({"1", "true", "yes"})


@dataclass(frozen=True, slots=True)
class FileTags:
    """All tags of a file: `rest` holds every field but genre and style, to be compared. `style` None: there is none.

    `version` is the ID3v2 version, None where there is no such tag.
    """

    tags: TrackTags = NO_TAGS
    rest: Mapping[str, object] = field(default_factory=dict)
    version: tuple[int, ...] | None = None
    style: tuple[str, ...] | None = None


def genres_of(values: Iterable[str] | None) -> tuple[str, ...] | None:
    """The values without blanks and repetitions; None stays None: absent is not empty."""
    if values is None:
        return None
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))


def _styles(fields: Iterable[tuple[str, Iterable[object]]]) -> tuple[str, ...] | None:
    """The values of the fields that hold the style, of (key, values) pairs; None without such a field."""
    values = [list(values) for key, values in fields if key.upper() == "STYLE"]
    return genres_of([str(value) for one in values for value in one]) if values else None


def _joined(values: Iterable[object]) -> str:
    return "; ".join(str(value) for value in values)


# --- ID3 ---------------------------------------------------------------------------------------------------


def _id3(file: BinaryIO, *, with_v1: bool = True) -> Any:
    import mutagen.id3

    allow_one_tag()
    file.seek(0)
    try:
        # Untranslated: an ID3v2.3 tag keeps the frames that ID3v2.4 dropped.
        return mutagen.id3.ID3(file, translate=False, load_v1=with_v1)
    except mutagen.id3.ID3NoHeaderError:
        return None


def _id3_tags(tags: Any) -> FileTags:
    if tags is None:
        return FileTags()
    genre = tags.get("TCON")
    found = TrackTags(
        genres=genres_of(None if genre is None else genre.genres),
        title=_joined(tags.get("TIT2", ())),
        artist=_joined(tags.get("TPE1", ())),
        album_artist=_joined(tags.get("TPE2", ())),
        album=_joined(tags.get("TALB", ())),
        compilation=_joined(tags.get("TCMP", ())).lower() in TRUE_WORDS,
    )
    rest: dict[str, object] = {key: _comparable(tags[key]) for key in tags if key != "TCON" and not _is_style(key)}
    if tags.unknown_frames:
        rest["unknown frames"] = sorted(bytes(frame) for frame in tags.unknown_frames)
    version = tuple(tags.version)
    style = _styles(("STYLE", tags[key].text) for key in tags if _is_style(key))
    return FileTags(found, rest, version if version[0] == 2 else None, style)


def _is_style(key: str) -> bool:
    """Whether a frame holds the style, by the key that the tag library gives it; the second in ID3v2.2."""
    return key[:11].upper() in ("TXXX:STYLE", "TXX:STYLE")  # the key of a private frame is as long as the frame


def _comparable(value: Any) -> object:
    """Frames compare by identity or by text alone; this compares by everything they hold."""
    from mutagen.id3 import Frame, ID3Tags

    if isinstance(value, Frame):
        return type(value).__name__, {name: _comparable(held) for name, held in vars(value).items()}
    if isinstance(value, ID3Tags):
        return {key: _comparable(value[key]) for key in value}
    if isinstance(value, (list, tuple)):
        return [_comparable(one) for one in value]
    return value


# --- APE ---------------------------------------------------------------------------------------------------


def _ape(file: BinaryIO) -> Any:
    import mutagen.apev2

    file.seek(0)
    try:
        return mutagen.apev2.APEv2(file)
    except mutagen.apev2.APENoHeaderError:
        return None


def _ape_tags(tags: Any) -> FileTags:
    from mutagen.apev2 import APETextValue

    if tags is None:
        return FileTags()

    def texts(key: str) -> list[str] | None:
        value = tags.get(key)
        return None if value is None else list(value) if isinstance(value, APETextValue) else []

    found = TrackTags(
        genres=genres_of(texts("Genre")),
        title=_joined(texts("Title") or ()),
        artist=_joined(texts("Artist") or ()),
        album_artist=_joined(texts("Album Artist") or texts("AlbumArtist") or ()),
        album=_joined(texts("Album") or ()),
        compilation=_joined(texts("Compilation") or ()).lower() in TRUE_WORDS,
    )
    # What is no text is there too, and somebody's.
    style = [repr(tags["Style"].value)] if texts("Style") == [] and tags["Style"].value else texts("Style")
    rest = {f"APE {key}": (tags[key].kind, tags[key].value) for key in tags if key.lower() not in ("genre", "style")}
    return FileTags(found, rest, style=genres_of(style))


def _mpeg(file: BinaryIO, layout: Layout) -> FileTags:
    """ID3v2, then APE for what it does not say, ID3v1 last."""
    from mutagen import MutagenError

    id3 = _id3_tags(_id3(file, with_v1=False))
    try:
        ape = _ape_tags(_ape(file))
    except MutagenError:
        if id3.version is None:
            raise
        ape = FileTags()  # it is not the tag that counts, nor one that is ever written to beside ID3v2
    found, oldest = _merged(id3, ape), id3v1_tag(file, size_of(file))
    if not oldest:
        return found
    # Compared by its bytes: a new ID3v2 tag repeats it, or says the same in full length.
    return _merged(found, FileTags(_id3_tags(_id3(BytesIO(oldest))).tags, {"ID3v1": oldest}))


def _apelike(file: BinaryIO, layout: Layout) -> FileTags:
    """APE, and behind it ID3 for what APE does not say."""
    return _merged(_ape_tags(_ape(file)), _id3_tags(_id3(file)))


def _merged(first: FileTags, second: FileTags) -> FileTags:
    a, b = first.tags, second.tags
    merged = TrackTags(
        genres=b.genres if a.genres is None else a.genres,
        title=a.title or b.title,
        artist=a.artist or b.artist,
        album_artist=a.album_artist or b.album_artist,
        album=a.album or b.album,
        compilation=a.compilation or b.compilation,
    )
    return FileTags(
        merged,
        {**first.rest, **second.rest},
        first.version or second.version,
        second.style if first.style is None else first.style,
    )


# --- the others --------------------------------------------------------------------------------------------


def _flac(file: BinaryIO, layout: Layout) -> FileTags:
    import mutagen.flac

    file.seek(0)
    flac = mutagen.flac.FLAC(file)
    found = _vorbis_tags(flac.tags)
    blocks = [
        (block.code, block.write())
        for block in flac.metadata_blocks
        if block is not flac.tags and block.code != mutagen.flac.Padding.code
    ]
    return FileTags(found.tags, {**found.rest, "blocks": blocks}, style=found.style)


def _ogg(file: BinaryIO, layout: Layout) -> FileTags:
    import mutagen.oggflac
    import mutagen.oggopus
    import mutagen.oggspeex
    import mutagen.oggvorbis

    file.seek(layout.start)
    head = file.read(64)
    for mark, kind in (
        (b"\x01vorbis", mutagen.oggvorbis.OggVorbis),
        (b"OpusHead", mutagen.oggopus.OggOpus),
        (b"\x7fFLAC", mutagen.oggflac.OggFLAC),
        (b"Speex   ", mutagen.oggspeex.OggSpeex),
    ):
        if mark in head:
            file.seek(layout.start)
            return _vorbis_tags(kind(file).tags)
    return FileTags()


def _vorbis_tags(tags: Any) -> FileTags:
    if tags is None:  # a FLAC file without a comment block: one that holds the genre alone is no other tag
        return FileTags(rest={"comments": []})

    def texts(*keys: str) -> list[str] | None:
        return next((tags[key] for key in keys if key in tags), None)

    found = TrackTags(
        genres=genres_of(texts("genre")),
        title=_joined(texts("title") or ()),
        artist=_joined(texts("artist") or ()),
        album_artist=_joined(texts("albumartist", "album artist", "album_artist") or ()),
        album=_joined(texts("album") or ()),
        compilation=_joined(texts("compilation") or ()).lower() in TRUE_WORDS,
    )
    rest = [(key, value) for key, value in list.__iter__(tags) if key.lower() not in ("genre", "style")]
    style = _styles((key, [value]) for key, value in list.__iter__(tags))
    return FileTags(found, {"vendor": tags.vendor, "comments": rest}, style=style)


_FREEFORM = "----:com.apple.itunes:"


def _mp4(file: BinaryIO, layout: Layout) -> FileTags:
    import mutagen.mp4

    file.seek(0)
    mp4 = mutagen.mp4.MP4(file)
    tags: Any = mp4.tags
    alone, items = b"", list[bytes]()
    with suppress(Malformed):  # such a file is read, and never written
        mine = Mp4(file, layout)
        # As stored: the tag library passes over items that it cannot read.
        written = {one.start for field in (mine, Mp4(file, layout, STYLE)) for one in field.genres}
        items = [read_at(file, one.start, one.end - one.start) for one in mine.items if one.start not in written]
        alone = mine.tag_bytes() if tags is None else b""
    if alone:  # in QuickTime's `meta` the tag library finds no tags, and other readers do
        tags = mutagen.mp4.MP4Tags(mutagen.mp4.Atoms(BytesIO(alone)), BytesIO(alone))
    tags = tags or {}
    found = TrackTags(
        genres=genres_of(tags.get("\xa9gen")),
        title=_joined(tags.get("\xa9nam", ())),
        artist=_joined(tags.get("\xa9ART", ())),
        album_artist=_joined(tags.get("aART", ())),
        album=_joined(tags.get("\xa9alb", ())),
        compilation=bool(tags.get("cpil", False)),
    )
    chapters = [(chapter.start, chapter.title) for chapter in mp4.chapters or ()]
    freeform = ((key[len(_FREEFORM) :], values) for key, values in tags.items() if key.lower().startswith(_FREEFORM))
    style = _styles((key, [bytes(one).decode("utf-8", "replace") for one in values]) for key, values in freeform)
    return FileTags(found, {"items": items, "chapters": chapters}, style=style)


def _asf(file: BinaryIO, layout: Layout) -> FileTags:
    import mutagen.asf

    file.seek(0)
    tags = mutagen.asf.ASF(file).tags

    def texts(key: str) -> list[str] | None:
        return [str(value) for value in tags[key]] if key in tags else None

    found = TrackTags(
        genres=genres_of(texts("WM/Genre")),
        title=_joined(texts("Title") or ()),
        artist=_joined(texts("Author") or ()),
        album_artist=_joined(texts("WM/AlbumArtist") or ()),
        album=_joined(texts("WM/AlbumTitle") or ()),
        compilation=_joined(texts("WM/IsCompilation") or ()).lower() in TRUE_WORDS,
    )
    rest = [
        (name, value.TYPE, value.value, value.language, value.stream)
        for name, value in list.__iter__(tags)
        if name != "WM/Genre" and name.upper() not in ASF_STYLES
    ]
    style = _styles(("STYLE", [value]) for name, value in list.__iter__(tags) if name.upper() in ASF_STYLES)
    return FileTags(found, {"attributes": rest}, style=style)


def _wav(file: BinaryIO, layout: Layout) -> FileTags:
    # The tag library knows RIFF but not RF64, so the tag is handed to it alone.
    wav = Wav(file, layout)
    tag, info = wav.tag_bytes(), wav.info_texts()
    genre = info.get("IGNR")
    second = TrackTags(
        genres=genres_of(None if genre is None else [genre]),
        title=info.get("INAM", ""),
        artist=info.get("IART", ""),
        album=info.get("IPRD", ""),
    )
    others = {f"INFO {name}": text for name, text in info.items() if name != "IGNR"}
    return _merged(_id3_tags(_id3(BytesIO(tag)) if tag else None), FileTags(second, others))


def _aiff(file: BinaryIO, layout: Layout) -> FileTags:
    import mutagen.aiff

    allow_one_tag()
    return _id3_tags(mutagen.aiff.AIFF(_rewound(file)).tags)


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file


def _other(file: BinaryIO, layout: Layout) -> FileTags:
    """Matroska and the like: what the decoder library reads; these are never written."""
    import av

    if layout.start:
        return _mpeg(file, layout)
    try:
        with av.open(_rewound(file), metadata_errors="replace") as container:
            streams = [stream.metadata for stream in container.streams.audio[:1]]
            words = {key.lower(): value for source in (*streams, container.metadata) for key, value in source.items()}
    except (av.FFmpegError, ValueError):
        return FileTags()
    genre = words.get("genre")
    found = TrackTags(
        genres=genres_of(None if genre is None else genre.split(";")),
        title=words.get("title", ""),
        artist=words.get("artist", ""),
        album_artist=words.get("album_artist", words.get("albumartist", "")),
        album=words.get("album", ""),
        compilation=words.get("compilation", "").lower() in TRUE_WORDS,
    )
    return FileTags(found)


_READERS: dict[str, Callable[[BinaryIO, Layout], FileTags]] = {
    "mpeg": _mpeg,
    "tta": _mpeg,
    "flac": _flac,
    "ogg": _ogg,
    "mp4": _mp4,
    "asf": _asf,
    "wav": _wav,
    "aiff": _aiff,
    "wavpack": _apelike,
    "monkeys": _apelike,
    "tak": _apelike,
    "musepack": _apelike,
    "optimfrog": _apelike,
}


def all_tags(file: BinaryIO, layout: Layout) -> FileTags:
    """What the tag library reads out of an open file of this layout. Call it inside `tag_errors`."""
    if layout.malformed:
        raise Malformed(layout.malformed)
    refuse_hostile(file, layout)
    return _READERS.get(layout.container, _other)(file, layout)


def read_tags(path: Path) -> TrackTags:
    """The tags of a file, whatever its name says it is; `TrackTags()` where it has none.

    Genres come decoded: ID3's `(17)`, `17` and `(4)Eurodisco` are Rock, Rock and Disco + Eurodisco.
    FailTrack where the file or its tags cannot be read, SkipTrack for an empty one.
    """
    with tag_errors(path), opened(path) as file:
        if not size_of(file):
            raise SkipTrack("no_audio", f"{path.name} is empty.")
        return all_tags(file, sniff(file)).tags
