"""The Python API: what a file is, and what the library knows, with the types of `music_reclass.domain`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_reclass.config import load
from music_reclass.errors import NothingToDo, UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.explain.similar import Similar
    from music_reclass.features.user_decisions import UserDecision

AnyPath = str | os.PathLike[str]


def classify(path: AnyPath, **settings: Any) -> Track:
    """The track at `path` with its tags and its decision: `decision.genres`, `.confidence` (0 to 1), `.outcome`, and in
    `.votes` each stage's `probabilities` by label.

    Reads audio, stores and writes nothing, and asks no library. `settings` are those of config.toml (stages="1").
    NothingToDo where there is no such file; SkipTrack or FailTrack where it cannot be analysed; UsageError for a
    setting.
    """
    from music_reclass.domain import OnExisting
    from music_reclass.explain.explanation import explain
    from music_reclass.extractors.device import Placement
    from music_reclass.tagging.apply import WritePlan
    from music_reclass.taxonomy import load as load_taxonomy

    chosen = _settings(settings)
    real = os.path.realpath(path)
    if not os.path.isfile(real):
        raise NothingToDo(f"The file {os.fspath(path)} does not exist.")
    from music_reclass.cli.session import cascade_for

    taxonomy = load_taxonomy(chosen.taxonomy)
    plan = WritePlan(lambda: iter(()), taxonomy, OnExisting.KEEP)
    found = explain(real, cascade_for(chosen, taxonomy, None), plan, placement=Placement.from_settings(chosen))
    if found.track.error is not None:
        raise found.track.error
    return found.track


def open_library(path: AnyPath | None = None, **settings: Any) -> OpenLibrary:
    """The library database at `path`, or that of the settings, to be asked and closed (a context manager).

    NothingToDo where there is none; DatabaseError where it is damaged, locked, or newer than this program.
    """
    return OpenLibrary(_settings(settings | ({} if path is None else {"db": Path(path)})))


def _settings(given: dict[str, Any]) -> Settings:
    unknown = {name for name in given if name not in load({}, None).__slots__}
    if unknown:
        raise UsageError(f"There is no setting {sorted(unknown)[0]!r}; reclass config shows all.")
    return load(given)


class OpenLibrary:
    """What the library knows. One thread at a time; a scan may run beside it, and is seen."""

    def __init__(self, settings: Settings) -> None:
        from music_reclass.features.database import Database

        if not settings.database.exists():
            raise NothingToDo(f"There is no library at {settings.database} yet: scan a folder first.")
        self._settings = settings
        self._database = Database(settings.database)

    def __enter__(self) -> OpenLibrary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def tracks(self, *paths: AnyPath) -> Iterator[Track]:
        """Every track that is not missing, or those at or below `paths`, by path, with decision and votes; read as you
        go, 500 at a time."""
        from music_reclass.features.decisions import Decisions

        return Decisions(self._database).below([os.path.realpath(path) for path in paths])

    def track(self, path: AnyPath) -> Track | None:
        """The track at `path`; None where the library does not know it."""
        from music_reclass.features.decisions import Decisions

        return Decisions(self._database).track_at(os.path.realpath(path))

    def similar(self, *paths: AnyPath, count: int = 20, per_artist: int = 2) -> list[Similar]:
        """Up to `count` tracks that sound like those at `paths`: `.track`, `.similarity` (cosine, -1 to 1), `.why`.

        All vectors stay in memory for the next question: 4 bytes a number. NothingToDo for a path that is not known.
        """
        from music_reclass.explain.similar import similar_tracks

        seeds = [(path, self.track(path)) for path in paths]
        found = [track for _, track in seeds if track is not None]
        if len(found) < len(seeds) or not found:
            unknown = next((os.fspath(path) for path, track in seeds if track is None), "nothing")
            raise NothingToDo(f"The library does not know {unknown}; scan it first.")
        return similar_tracks(self._database, found, count, per_artist=per_artist, keep=True)

    def decide(self, *paths: AnyPath, genres: Sequence[str] | None, scope: str = "track") -> int:
        """Store the user's word on the tracks at or below `paths`, as `reclass decide` does; how many decisions that
        are. `genres` None: leave the tags alone; `scope`: track, album or artist.

        UsageError for a genre that the taxonomy does not know; DatabaseError while another command writes.
        """
        from music_reclass.features.database import writing_lease
        from music_reclass.features.decisions import Decisions
        from music_reclass.features.user_decisions import SCOPES
        from music_reclass.taxonomy import load as load_taxonomy

        if scope not in SCOPES or (genres is not None and (isinstance(genres, str) or not genres)):
            raise UsageError("Give a list of genres, or None, and one of the scopes track, album and artist.")
        taxonomy = load_taxonomy(self._settings.taxonomy)
        unknown = next((genre for genre in genres or () if taxonomy.canonical(genre) is None), None)
        if unknown is not None:
            raise UsageError(f"There is no genre {unknown!r}; reclass genres list shows all.")
        chosen = None if genres is None else tuple(taxonomy.written(genre) or genre for genre in genres)
        with writing_lease(self._settings.database, "decide"):
            tracks = list(self.tracks(*paths)) if paths else []
            return Decisions(self._database).decide(tracks, chosen, "python", scope=scope)

    def user_decisions(self) -> list[UserDecision]:
        """What the user decided: `.scope`, `.title`, `.genres` (None: leave alone), `.source`, `.author`."""
        from music_reclass.features.user_decisions import UserDecisions

        return UserDecisions(self._database).all()
