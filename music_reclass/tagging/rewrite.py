"""The three ways to change a file: write genres, bring the very bytes back, bring the genre field alone back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from music_reclass.containers import FORMATS, Format, Raw
from music_reclass.containers.edits import Edit, Layout, tidy, unpack
from music_reclass.containers.sniff import sniff
from music_reclass.errors import FailTrack
from music_reclass.features.journal import Change
from music_reclass.tagging.read import View, view

Genres = tuple[str, ...] | None
MAKES_NEW_TAG = ("mpeg", "tta")  # formats whose new ID3 tag repeats what an ID3v1 tag says


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be done to an open file. No edits: it is as wanted already.

    `check` raises FailTrack for a finished copy that is not as it should be; `sha_after` is known where the copy
    must be a certain file. `mtime_ns` is the modification time that it gets, None for now.
    """

    format: str
    before: Genres
    after: Genres
    raw_before: Raw
    edits: tuple[Edit, ...]
    check: Callable[[BinaryIO], None]
    sha_after: bytes | None = None
    mtime_ns: int | None = None
    undoes: int | None = None


Rewrite = Callable[[BinaryIO, Path], Prepared]


@dataclass(frozen=True, slots=True)
class _Genre:
    """A file's genre field and all others, before anything is done to it."""

    layout: Layout
    format: Format
    view: View
    raw: Raw

    @property
    def genres(self) -> Genres:
        """The field decoded; () where it is there but says nothing, which the tag library takes for absent."""
        return () if self.view.tags.genres is None and self.raw else self.view.tags.genres


def _look(file: BinaryIO, path: Path) -> _Genre:
    layout = sniff(file)
    format_ = FORMATS.get(layout.container)
    if format_ is None:
        raise FailTrack("unsupported", f"{path.name}: genres of this kind of file can be read but not written.")
    return _Genre(layout, format_, view(file, layout), format_.read(file, layout))


def current_genres(file: BinaryIO, path: Path) -> tuple[Genres, Raw]:
    """The genre field of an open file, decoded and raw."""
    found = _look(file, path)
    return found.genres, found.raw


def write_genres(genres: Sequence[str]) -> Rewrite:
    """The field gets `genres`, the primary one first."""
    wanted = tuple(genres)
    if not wanted or any(not genre.strip() or "\0" in genre for genre in wanted):
        raise ValueError(f"not a list of genres: {wanted}")

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        old = _look(file, path)
        edits = tidy(file, old.format.splice(file, old.layout, old.format.encode(file, old.layout, wanted)))

        def check(copy: BinaryIO) -> None:
            new = _look(copy, path)
            if new.genres != wanted:
                raise FailTrack("verify", f"{path.name}: {wanted} was written, {new.genres} is read; left as it was.")
            _same_besides(old, new, path)

        return Prepared(old.layout.container, old.genres, wanted, old.raw, edits, check)

    return prepare


def bring_back_bytes(change: Change) -> Rewrite:
    """The reverse patch, for a file that is as we left it. It gets its old modification time as well.

    With size and time as before, whoever keeps an eye on the file (our own scan, a media server) sees the file it
    knew, not yet another one.
    """

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        try:
            edits = tidy(file, unpack(change.patch or b""))
        except ValueError as error:
            raise FailTrack("bug", f"{path.name}: the patch in the journal cannot be used ({error}).") from error
        then = change.intention

        return Prepared(
            then.format, then.after, then.before, (), edits, lambda copy: None,
            sha_after=then.sha_before, mtime_ns=then.mtime_before, undoes=change.id,
        )  # fmt: skip

    return prepare


def bring_back_field(change: Change) -> Rewrite:
    """The genre field alone, byte for byte, for a file that somebody has edited since."""

    def prepare(file: BinaryIO, path: Path) -> Prepared:
        old = _look(file, path)
        wanted = change.intention.raw_before
        edits = tidy(file, old.format.splice(file, old.layout, wanted))

        def check(copy: BinaryIO) -> None:
            new = _look(copy, path)
            if new.raw != wanted:
                raise FailTrack("verify", f"{path.name}: the old genre did not come back; left as it was.")
            _same_besides(old, new, path)

        before = change.intention.before
        return Prepared(old.layout.container, old.genres, before, old.raw, edits, check, undoes=change.id)

    return prepare


def _same_besides(old: _Genre, new: _Genre, path: Path) -> None:
    """FailTrack unless everything but the genre reads as before."""
    kept = all(key in new.view.rest and new.view.rest[key] == value for key, value in old.view.rest.items())
    added = new.view.rest.keys() - old.view.rest.keys() - {"vendor"}  # a new comment block names who made it
    fresh = old.view.version is None and old.layout.container in MAKES_NEW_TAG
    # A tag that held nothing but the genre goes with it.
    version_kept = new.view.version is None or old.view.version in (None, new.view.version)
    if not kept or (added and not fresh) or not version_kept:
        raise FailTrack("verify", f"{path.name}: writing the genre would change other tags; left as it was.")
