"""What several pages and the API show: the overview in numbers, the review of one album, the explanation of a track."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import HTTPException

from music_reclass.domain import CONTENT, Outcome
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.journal import Change, Journal
from music_reclass.taxonomy import load as load_taxonomy
from music_reclass.utils.files import mtime_ns
from music_reclass.web.snapshot import OUTCOMES, RELATIONS, Filter

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.web.snapshot import Snapshot
    from music_reclass.web.work import Work

GENRES_SHOWN = 16
TRACKS_SHOWN = 60  # of an album under review
_BARS = 3  # likeliest genres of a vote


def overview(work: Work) -> dict[str, Any]:
    """The library in numbers, with the coverage and precision of each least confidence."""
    snapshot = work.current.get()
    return snapshot.once("overview", lambda: _overview(snapshot))


def _overview(snapshot: Snapshot) -> dict[str, Any]:
    outcomes = np.bincount(snapshot.outcomes, minlength=len(OUTCOMES))
    relations = np.bincount(snapshot.relations, minlength=len(RELATIONS))
    everything = snapshot.matching(Filter())
    decided = np.isin(snapshot.outcomes, [OUTCOMES.index("confident"), OUTCOMES.index("likely")])
    return {
        "tracks": len(snapshot),
        "outcomes": {name or "undecided": int(n) for name, n in zip(OUTCOMES, outcomes, strict=True) if n},
        "relations": {name: int(n) for name, n in zip(RELATIONS, relations, strict=True) if n and name},
        "to_review": len(snapshot.review()),
        "before": _most(snapshot.counts(snapshot.tags, snapshot.tag_names, everything)),
        "after": _most(snapshot.counts(snapshot.genres, snapshot.genre_names, decided)),
        "curve": [
            {"confidence": round(least, 2), "tracks": count, "expected_right": round(right, 4)}
            for least, count, right in snapshot.curve()
        ],
        "as_of": snapshot.taken,
    }


def _most(counts: dict[str, int]) -> dict[str, int]:
    shown = dict(list(counts.items())[:GENRES_SHOWN])
    rest = sum(counts.values()) - sum(shown.values())
    return {**shown, **({"others": rest} if rest else {})}


def under_review(work: Work, album: int) -> dict[str, Any] | None:
    """What somebody needs to decide an album: its tracks with what was found, and what accepting would say; None where
    there is no such album."""
    ids = work.current.get().on_album(album)
    tracks = Decisions(work.database).tracks(ids[:TRACKS_SHOWN])
    if not tracks:
        return None
    first = tracks[0].tags
    rows: list[dict[str, Any]] = []
    summed: dict[str, float] = {}
    for track in tracks:
        votes = [
            {"stage": vote.stage, "shares": [(genre, round(share, 3)) for genre, share in vote.top(_BARS)]}
            for vote in (track.decision.votes if track.decision else ())
            if vote.stage not in CONTENT
        ]
        rows.append({**track_as_json(track, work), "votes": votes})
        cast = [vote for vote in (track.decision.votes if track.decision else ()) if vote.stage not in CONTENT]
        for genre, share in cast[-1].top(9) if cast else ():
            summed[genre] = summed.get(genre, 0.0) + share / len(tracks)
    ranked = sorted(summed.items(), key=lambda item: -item[1])[:9]
    found = sorted({genre for track in tracks if (genre := shown_genre(track)[0])})
    return {
        "id": ids[0],
        "ids": ids,
        "name": " – ".join(part for part in (first.album_artist or first.artist, first.album) if part),
        "folder": os.path.dirname(rows[0]["path"]),
        "count": len(ids),
        "more": len(ids) - len(rows),
        "tracks": rows,
        "choices": [(genre, round(share, 3)) for genre, share in ranked],
        "accepting": found,
    }


def explained(work: Work, path: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Why a file has its genre, as data and as labelled sentences. Features that are not stored are extracted now, by a
    process of its own, and nothing is stored; raises TrackError."""
    status = file_status(path)
    known = Decisions(work.database).track_at(os.path.realpath(path))
    if known is not None and (known.size, known.mtime_ns) == (status.st_size, mtime_ns(status)):
        return _explained(work.settings, work.taxonomy, path, work.database)
    return work.explainer.call(explained_alone, work.settings, path)


def explained_alone(settings: Settings, path: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """As `explained`, in a process that has no connection to the library yet."""
    database = Database(settings.database)
    try:
        return _explained(settings, load_taxonomy(settings.taxonomy), path, database)
    finally:
        database.close()


def _explained(
    settings: Settings, taxonomy: Taxonomy, path: str, database: Database
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    from music_reclass.cli.session import cascade_for
    from music_reclass.domain import OnExisting
    from music_reclass.explain.explanation import explain
    from music_reclass.explain.render import render
    from music_reclass.extractors.device import Placement
    from music_reclass.tagging.apply import WritePlan

    plan = WritePlan(lambda: iter(()), taxonomy, OnExisting(settings.on_existing))
    cascade = cascade_for(settings, taxonomy, database)
    placement = Placement.from_settings(settings)
    found = explain(os.path.realpath(path), cascade, plan, database=database, placement=placement)
    return found.as_json(), [(label, text) for label, text in render(found)]


def file_status(path: str) -> os.stat_result:
    """The status of a file; 404 where it is gone or cannot be seen."""
    try:
        return os.stat(path)
    except OSError as error:
        raise HTTPException(404, "The file is gone.") from error


def one_track(work: Work, number: int) -> Track:
    """A track of the library; 404 where there is none of this number."""
    found = Decisions(work.database).tracks([number])
    if not found:
        raise HTTPException(404, "There is no such track.")
    return found[0]


def track_as_json(track: Track, work: Work) -> dict[str, Any]:
    """One track as lists show it."""
    decision = track.decision if track.error is None else None
    genre, confidence = shown_genre(track)
    return {
        "id": track.id, "path": readable(track.path), "file": readable(os.path.basename(track.path)),
        "title": track.tags.title, "artist": track.tags.artist, "album_artist": track.tags.album_artist,
        "album_title": track.tags.album, "duration": track.duration,
        "tags": None if track.tags.genres is None else list(track.tags.genres),
        "outcome": None if track.outcome is None else track.outcome.value,
        "reason": track.obstacle[0] or ("" if decision is None else decision.reason),
        "genres": [] if decision is None else list(decision.genres),
        "genre": genre, "confidence": round(confidence, 4), "stage": "" if decision is None else decision.stage,
        "relation": work.current.get().relation(track.id), "missing": track.missing,
    }  # fmt: skip


def shown_genre(track: Track) -> tuple[str, float]:
    """The decided genre, or the likeliest one where none was decided, with its probability; "" for none."""
    decision = track.decision
    if decision is None or track.error is not None or decision.outcome is Outcome.SKIPPED:
        return "", 0.0
    if decision.genres:
        return decision.genres[0], decision.confidence
    return decision.votes[-1].top(1)[0] if decision.votes else ("", 0.0)


def album_summary(work: Work, first: int) -> dict[str, Any]:
    """Name, folder and size of an album, by its first track."""
    known = Decisions(work.database).tracks([first])
    if not known:
        return {"name": "", "folder": "", "count": 0}
    tags = known[0].tags
    name = " – ".join(part for part in (tags.album_artist or tags.artist, tags.album) if part)
    return {
        "name": name,
        "folder": readable(os.path.dirname(known[0].path)),
        "count": work.current.get().size_of_album(first),
    }


def overview_counts(snapshot: Snapshot) -> dict[str, dict[str, int]]:
    """How many tracks have which genre, decided or likeliest, and which first genre in the file."""

    def count() -> dict[str, dict[str, int]]:
        everything = snapshot.matching(Filter())
        return {
            "genres": snapshot.counts(snapshot.genres, snapshot.genre_names, everything),
            "tags": snapshot.counts(snapshot.tags, snapshot.tag_names, everything),
        }

    return snapshot.once("genres", count)


def history_of(work: Work, track: Track) -> list[dict[str, Any]]:
    """The changes of a track's tag that stand, the newest first."""
    journal = Journal(work.database)
    runs = [run for run, _ in journal.standing(None, [track.path])]
    changes = [change for run in runs for change in journal.changes_of(run, paths=[track.path])]
    return [
        {"run": one.run, "state": one.state, "before": one.intention.before, "after": one.intention.after}
        for one in changes
        if isinstance(one, Change)
    ]


def run_as_json(run: Any) -> dict[str, Any]:
    """One run of the journal as plain values."""
    return {
        "id": run.id, "command": run.command, "started": run.started, "finished": run.finished,
        "written": run.written, "undone": run.undone,
    }  # fmt: skip


def readable(path: str) -> str:
    """A path as text: bytes that are no UTF-8 are shown as such."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def alike(work: Work, track: Track, count: int) -> list[dict[str, Any]]:
    """The tracks that sound most like one; none where it has no features."""
    from music_reclass.explain.similar import similar_tracks

    found = similar_tracks(work.database, [track], count)
    return [{**track_as_json(one.track, work), "similarity": one.similarity, "why": list(one.why)} for one in found]
