"""The three ways to change a file: write genres, restore its very bytes, restore the genre field alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from music_reclass.containers import FORMATS
from music_reclass.containers.edits import Container, Edit, Raw, tidy, unpack
from music_reclass.containers.sniff import sniff
from music_reclass.errors import FailTrack
from music_reclass.features.journal import Change
from music_reclass.tagging.read import FileTags, all_tags

Genres = tuple[str, ...] | None
MAKES_NEW_TAG = ("mpeg", "tta")  # formats whose new ID3v2 tag repeats what ID3v1 and APE tags say


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


Rewrite = Callable[[BinaryIO, Path], Prepared]


@dataclass(frozen=True, slots=True)
class _Found:
    """A file's genre field as it is stored, and all its tags."""

    container: Container
    raw: Raw
    tags: FileTags

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
    container = FORMATS[layout.container](file, layout)
    return _Found(container, container.genre_field(), tags)


def current_genres(file: BinaryIO, path: Path) -> tuple[Genres, Raw]:
    """The genre field of an open file, decoded and raw."""
    found = _examine(file, path)
    return found.genres, found.raw


def write_genres(genres: Sequence[str]) -> Rewrite:
    """The field gets `genres`, the primary one first."""
    wanted = tuple(genres)
    if not wanted or any(not genre.strip() or "\0" in genre for genre in wanted):
        raise ValueError(f"not a list of genres: {wanted}")

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        old = _examine(file, path)
        edits = tidy(file, old.container.splice(old.container.encode(wanted)))

        def check(copy: BinaryIO) -> None:
            new = _examine(copy, path)
            if new.genres != wanted:
                raise FailTrack("verify", f"{path.name}: {wanted} was written, {new.genres} is read; left as it was.")
            _same_besides(old, new, path)

        return Prepared(old.format, old.genres, wanted, old.raw, edits, check)

    return prepare


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


def restore_field(change: Change) -> Rewrite:
    """The genre field alone, byte for byte, for a file that somebody has edited since."""

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        old = _examine(file, path)
        wanted = change.intention.raw_before
        edits = tidy(file, old.container.splice(wanted))

        def check(copy: BinaryIO) -> None:
            new = _examine(copy, path)
            if new.raw != wanted:
                raise FailTrack("verify", f"{path.name}: the old genre did not come back; left as it was.")
            _same_besides(old, new, path)

        before = change.intention.before
        return Prepared(old.format, old.genres, before, old.raw, edits, check, undoes=change.id)

    return prepare


def _same_besides(old: _Found, new: _Found, path: Path) -> None:
    """FailTrack unless everything but the genre reads as before."""
    then, now = old.tags, new.tags
    kept = all(key in now.rest and now.rest[key] == value for key, value in then.rest.items())
    added = now.rest.keys() - then.rest.keys() - {"vendor"}  # a new comment block names who made it
    fresh = then.version is None and old.format in MAKES_NEW_TAG
    # A tag that held nothing but the genre goes with it.
    version_kept = now.version is None or then.version in (None, now.version)
    if not kept or (added and not fresh) or not version_kept:
        raise FailTrack("verify", f"{path.name}: writing the genre would change other tags; left as it was.")
