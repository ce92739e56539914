"""The three ways to change a file: write genre and style, restore its very bytes, restore these fields alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from music_reclass.containers import FORMATS
from music_reclass.containers.edits import GENRE, STYLE, Container, Edit, EditedFile, Raw, tidy, unpack
from music_reclass.containers.sniff import sniff
from music_reclass.errors import FailTrack
from music_reclass.features.journal import Change, StyleChange
from music_reclass.tagging.read import FileTags, all_tags

Values = tuple[str, ...]
Genres = Values | None
MAKES_NEW_TAG = ("mpeg", "tta")  # formats whose new ID3v2 tag repeats what ID3v1 and APE tags say
IN_ID3 = (
    *MAKES_NEW_TAG,
    "wav",
    "aiff",
)  # formats with the style in an ID3v2 tag, which comes with a genre or not at all


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be done to an open file. No edits: it is as wanted already.

    `check` raises FailTrack for a finished copy that is not as it should be. `sha_before` and `sha_after` are known
    where the file must be, and become, a certain one. `mtime_ns` is the modification time that it gets, None for now.
    """

    format: str
    before: Genres
    after: Genres
    raw_before: Raw
    edits: tuple[Edit, ...]
    check: Callable[[BinaryIO], None]
    sha_before: bytes | None = None
    sha_after: bytes | None = None
    mtime_ns: int | None = None
    undoes: int | None = None
    style: StyleChange | None = None  # what is done to the style; None: nothing


Rewrite = Callable[[BinaryIO, Path], Prepared]


@dataclass(frozen=True, slots=True)
class _Found:
    """A file's genre and style as they are stored, and all its tags."""

    containers: dict[str, Container]  # by the field they serve
    raws: dict[str, Raw]
    tags: FileTags

    @property
    def container(self) -> Container:
        """What serves the genre."""
        return self.containers[GENRE]

    @property
    def raw(self) -> Raw:
        """The genre as it is stored."""
        return self.raws[GENRE]

    @property
    def style(self) -> Genres:
        """The style decoded; () where the field is there but says nothing."""
        return () if self.tags.style is None and self.raws[STYLE] else self.tags.style

    def may_get_style(self, ours: Callable[[Values], bool], *, with_genre: bool) -> bool:
        """Whether the style may be written: there is none, or one that `ours` says was written here."""
        if self.format in IN_ID3 and self.tags.version is None and not with_genre:
            return False
        if self.style is not None and not self.raws[STYLE]:
            return False  # in a form that is read and never written
        return not self.style or ours(self.style)

    @property
    def format(self) -> str:
        """The name of the container."""
        return self.container.layout.container

    @property
    def genres(self) -> Genres:
        """The field decoded; () where it is there but says nothing, which the tag library takes for absent."""
        return () if self.tags.tags.genres is None and self.raw else self.tags.tags.genres


def _examine(file: BinaryIO, path: Path) -> _Found:
    layout = sniff(file)
    if layout.container not in FORMATS and not layout.malformed:
        raise FailTrack("unsupported", f"{path.name}: genres of this kind of file can be read but not written.")
    tags = all_tags(file, layout)
    containers = {field: FORMATS[layout.container](file, layout, field) for field in (GENRE, STYLE)}
    return _Found(containers, {field: one.genre_field() for field, one in containers.items()}, tags)


def current_genres(file: BinaryIO, path: Path) -> tuple[Genres, Raw]:
    """The genre field of an open file, decoded and raw."""
    found = _examine(file, path)
    return found.genres, found.raw


def current_style(file: BinaryIO, path: Path) -> tuple[Genres, Raw]:
    """The style of an open file, decoded and raw."""
    found = _examine(file, path)
    return found.style, found.raws[STYLE]


def may_get_style(file: BinaryIO, path: Path, ours: Callable[[Values], bool], *, with_genre: bool) -> Genres | bool:
    """False where the style of an open file is not to be written, else the style that is there."""
    found = _examine(file, path)
    return found.style if found.may_get_style(ours, with_genre=with_genre) else False


def write_genres(genres: Sequence[str]) -> Rewrite:
    """The field gets `genres`, the primary one first."""
    return write_tags(genres)


def write_tags(
    genres: Sequence[str],
    style: str = "",
    ours: Callable[[Values], bool] = lambda style: False,
    *,
    clear: bool = False,
) -> Rewrite:
    """The genre gets `genres`, the primary one first, and the style `style`; what is empty is left as it is.

    A style that is there stays, unless `ours` says that it was written here. With `clear` the field of the genre goes,
    where `genres` is empty.
    """
    wanted = tuple(genres)
    if not (wanted or style or clear) or any(
        not value.strip() or "\0" in value for value in (*wanted, *([style] * bool(style)))
    ):
        raise ValueError(f"not a list of genres and a style: {wanted}, {style!r}")

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        old = _examine(file, path)
        raws: dict[str, Raw] = {GENRE: old.container.encode(wanted)} if wanted else {GENRE: ()} if clear else {}
        if style and old.may_get_style(ours, with_genre=bool(wanted)):
            raws[STYLE] = old.containers[STYLE].encode((style,))
        edits = _spliced(file, old, raws)

        def check(copy: BinaryIO) -> None:
            new = _examine(copy, path)
            if GENRE in raws and new.genres and not wanted:
                other = ", ".join(new.genres)
                raise FailTrack("verify", f"{path.name}: another of its tags says {other}; left as it was.")
            if GENRE in raws and (new.genres or ()) != wanted:
                raise FailTrack("verify", f"{path.name}: {wanted} was written, {new.genres} is read; left as it was.")
            if STYLE in raws and new.style != (style,):
                raise FailTrack("verify", f"{path.name}: {style} was written, {new.style} is read; left as it was.")
            _same_besides(old, new, path, raws)

        changed = StyleChange(old.style, (style,), old.raws[STYLE], alone=not wanted) if STYLE in raws else None
        after = None if clear and not wanted else wanted or old.genres
        return Prepared(old.format, old.genres, after, old.raw, edits, check, style=changed)

    return prepare


def _spliced(file: BinaryIO, old: _Found, raws: Mapping[str, Raw]) -> tuple[Edit, ...]:
    """The edits that make `raws` the fields that they name, each put into the file that has those before it."""
    edits: tuple[Edit, ...] = ()
    for field, raw in raws.items():
        if not edits:
            edits = tidy(file, old.containers[field].splice(raw))
            continue
        edited = EditedFile(file, edits)
        view = cast(BinaryIO, BufferedReader(edited))
        container = FORMATS[old.format](view, sniff(view), field)
        edits = tidy(file, edited.original(tidy(view, container.splice(raw))))
    return edits


def restore_bytes(change: Change) -> Rewrite:
    """The reverse patch, for a file that is as the change left it. It gets its old modification time as well.

    With size and time as before, whoever keeps an eye on the file (the scan, a media server) sees the file it
    knew, not yet another one.
    """

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        try:
            edits = tidy(file, unpack(change.patch or b""))
        except ValueError as error:
            raise FailTrack("bug", f"{path.name}: the patch in the journal cannot be used ({error}).") from error
        then = change.intention

        return Prepared(
            then.format, then.after, then.before, (), edits, lambda copy: None, sha_before=change.sha_after,
            sha_after=then.sha_before, mtime_ns=then.mtime_before, undoes=change.id,
        )  # fmt: skip

    return prepare


def restore_field(change: Change, fields: Collection[str] = (GENRE,)) -> Rewrite:
    """The genre, the style, or both alone, byte for byte, for a file that somebody has edited since."""

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        old = _examine(file, path)
        then = change.intention
        befores = {GENRE: then.raw_before, STYLE: then.style.raw_before if then.style else ()}
        raws = {field: raw for field, raw in befores.items() if field in fields}
        edits = _spliced(file, old, raws)

        def check(copy: BinaryIO) -> None:
            new = _examine(copy, path)
            for field, raw in raws.items():
                if new.raws[field] != raw:
                    raise FailTrack("verify", f"{path.name}: the old {field} did not come back; left as it was.")
            _same_besides(old, new, path, raws)

        before = then.before if GENRE in raws else old.genres
        return Prepared(old.format, old.genres, before, old.raw, edits, check, undoes=change.id)

    return prepare


def _same_besides(old: _Found, new: _Found, path: Path, changed: Collection[str]) -> None:
    """FailTrack unless everything but the `changed` fields reads as before."""
    then, now = old.tags, new.tags
    kept = all(key in now.rest and now.rest[key] == value for key, value in then.rest.items())
    added = now.rest.keys() - then.rest.keys() - {"vendor"}  # a new comment block names who made it
    fresh = then.version is None and old.format in MAKES_NEW_TAG
    # A field that is not written is the same to the byte, but in a new tag, which repeats it.
    for field in {GENRE, STYLE}.difference(changed):
        repeated = fresh and field == STYLE
        kept = kept and (repeated or old.raws[field] == new.raws[field])
    if STYLE not in changed:
        kept = kept and old.style == new.style
    # A tag that held nothing but the genre goes with it.
    version_kept = now.version is None or then.version in (None, now.version)
    if not kept or (added and not fresh) or not version_kept:
        raise FailTrack("verify", f"{path.name}: writing the genre would change other tags; left as it was.")
