"""The REST API: all that the pages do, described at /openapi.json."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, HTTPException, Query, Request, Response, UploadFile
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from music_reclass.errors import NothingToDo
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.web.contents import (
    album_summary,
    alike,
    explained,
    file_status,
    history_of,
    one_track,
    overview,
    overview_counts,
    readable,
    run_as_json,
    shown_genre,
    track_as_json,
)
from music_reclass.web.snapshot import Filter
from music_reclass.web.work import Work

if TYPE_CHECKING:
    from music_reclass.web.answers import Answer

MOST_ROWS = 200
LARGEST = 2**63 - 1
_UPLOAD = 600_000_000  # bytes
_MOST_TRACKS = 20_000  # in one answer
_CHUNK = 2**20

OUTCOME = Literal["", "confident", "likely", "unsure", "skipped", "failed"]
RELATION = Literal["", "fill", "agree", "refine", "conflict", "junk"]


def _work(request: Request) -> Work:
    found: Work = request.app.state.work
    return found


WorkOf = Annotated[Work, Depends(_work)]
Number = Annotated[int, InPath(ge=1, le=LARGEST)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
After = Annotated[int | None, Query(ge=0, le=LARGEST, description="the `next` of the page before")]
Text = Annotated[str, Query(max_length=200)]

router = APIRouter()


class Decide(BaseModel):
    """What somebody decides: `accept` what was found for each track, `change` it to `genres`, `leave` the tags alone
    for good, or `forget` what was decided before."""

    tracks: list[Annotated[int, Field(ge=1, le=LARGEST)]] = Field(min_length=1, max_length=_MOST_TRACKS)
    action: Literal["accept", "change", "leave", "forget"]
    genres: list[Annotated[str, Field(max_length=200)]] = Field(default_factory=list, max_length=20)
    scope: Literal["track", "album", "artist"] = "album"


class Scan(BaseModel):
    """Folders or files to scan; `write` writes what is decided, as `reclass scan --yes` does."""

    paths: list[Annotated[str, Field(min_length=1, max_length=4096)]] = Field(min_length=1, max_length=100)
    write: bool = False


class Write(BaseModel):
    """Files whose decisions are to be written; none: all of the library."""

    tracks: list[Annotated[int, Field(ge=1, le=LARGEST)]] = Field(default_factory=list, max_length=_MOST_TRACKS)


@router.get("/tracks")
def tracks(
    work: WorkOf,
    *,
    q: Text = "",
    outcome: OUTCOME = "",
    genre: Text = "",
    tag: Text = "",
    relation: RELATION = "",
    after: After = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """One page of tracks by path; `next` goes into `after` of the next page, null at the end."""
    snapshot = work.current.get()
    wanted = Filter(q.strip(), outcome, genre, tag, relation)
    ids, last = snapshot.page(wanted, after, limit)
    found = Decisions(work.database).tracks(ids)
    return {"items": [track_as_json(track, work) for track in found], "next": last, "count": snapshot.count(wanted)}


@router.get("/tracks/{track}")
def track(work: WorkOf, track: Number) -> dict[str, Any]:
    """One track with its votes, what a person decided of it, and every change of its tag."""
    found = one_track(work, track)
    user = UserDecisions(work.database).of(found.digest, found.tags)
    return {
        **track_as_json(found, work),
        "votes": {vote.stage: dict(vote.top(20)) for vote in found.decision.votes} if found.decision else {},
        "user": None if user is None else {"scope": user.scope, "genres": user.genres, "source": user.source,
                                           "decided": user.decided},
        "album": work.current.get().on_album(found.id)[:_MOST_TRACKS],
        "history": history_of(work, found),
    }  # fmt: skip


@router.get("/tracks/{track}/explanation")
def explanation(work: WorkOf, track: Number) -> dict[str, Any]:
    """Why a track has its genre, as `reclass explain --json` prints it."""
    found, _ = explained(work, one_track(work, track).path)
    return {**found, "path": readable(found["path"])}


@router.get("/tracks/{track}/similar")
def similar(work: WorkOf, track: Number, count: Annotated[int, Query(ge=1, le=50)] = 10) -> dict[str, Any]:
    """The tracks that sound most like one, with the cosine of their vectors and the feature groups that are alike."""
    return {"items": alike(work, one_track(work, track), count)}


@router.get("/tracks/{track}/audio", response_class=Response)
def audio(work: WorkOf, track: Number, request: Request) -> Response:
    """The excerpt that the models used, as WAV; a range of it where one is asked for."""
    from music_reclass.web import media

    clip = _clip(work, track)
    return ranged(media.wav(clip.samples, clip.rate), "audio/wav", request.headers.get("range", ""))


@router.get("/tracks/{track}/peaks")
def peaks(work: WorkOf, track: Number) -> dict[str, Any]:
    """Lowest and highest sample of 500 equal parts of the excerpt, each from -127 to 127."""
    import numpy as np

    from music_reclass.extractors.audio.pcm import peaks as peaks_of

    stored = Library(work.database).peaks(track)
    if stored is None:  # of a library that an older release scanned
        stored = peaks_of(_clip(work, track).samples)
    return {"peaks": np.frombuffer(stored, dtype=np.int8).tolist()}


@router.get("/tracks/{track}/spectrogram", response_class=Response)
def spectrogram(work: WorkOf, track: Number) -> Response:
    """The log-mel spectrogram of the excerpt as PNG."""
    from music_reclass.web import media

    return Response(media.spectrogram(_clip(work, track)), media_type="image/png")


@router.get("/tracks/{track}/cover", response_class=Response)
def cover(work: WorkOf, track: Number) -> Response:
    """The picture of the album, of the file or beside it."""
    from music_reclass.tagging.cover import cover_of

    found = cover_of(Path(one_track(work, track).path))
    if found is None:
        raise HTTPException(404, "There is no picture.")
    return Response(found[0], media_type=found[1], headers={"cache-control": "private, max-age=600"})


@router.get("/albums")
def albums(work: WorkOf, after: After = None, limit: Limit = 50) -> dict[str, Any]:
    """The albums to review, the most valuable first, each by the id of its first track."""
    queue = work.current.get().review()
    start = 0 if after is None else after + 1
    page = queue[start : start + limit]
    more = start + limit < len(queue)
    items = [{"id": one, **album_summary(work, one)} for one in page]
    return {"items": items, "next": start + len(page) - 1 if more else None, "count": len(queue)}


@router.get("/albums/{album}")
def album(work: WorkOf, album: Number) -> dict[str, Any]:
    """The tracks of one album, which is named by any of its tracks."""
    ids = work.current.get().on_album(album)
    if not ids:
        raise HTTPException(404, "There is no such album.")
    found = Decisions(work.database).tracks(ids[:MOST_ROWS])
    return {"id": ids[0], "count": len(ids), "tracks": [track_as_json(one, work) for one in found]}


@router.get("/decisions")
def decisions(work: WorkOf, limit: Limit = 100) -> dict[str, Any]:
    """What people decided, the newest first."""
    found = UserDecisions(work.database).all()[::-1][:limit]
    return {"items": [{"scope": one.scope, "title": one.title, "genres": one.genres, "source": one.source,
                       "decided": one.decided, "author": one.author} for one in found]}  # fmt: skip


@router.post("/decisions")
def decide(work: WorkOf, wanted: Decide) -> dict[str, Any]:
    """Store what somebody decides of tracks, at once; `answer` takes it back."""
    known = {track.id: track for track in Decisions(work.database).tracks(wanted.tracks)}
    if not known:
        raise HTTPException(404, "There is no such track.")
    genres: dict[int, tuple[str, ...] | None] = dict.fromkeys(known)
    if wanted.action == "change":
        genres = dict.fromkeys(known, known_genres(work, wanted.genres))
    elif wanted.action == "accept":
        found = {number: shown_genre(track)[0] for number, track in known.items()}
        genres = {number: (genre,) for number, genre in found.items() if genre}
        if not genres:
            raise HTTPException(409, "Nothing was found for these tracks that could be accepted.")
    answer = work.answers.give(work.database, genres, wanted.scope, forget=wanted.action == "forget")
    return _answered(work, answer)


@router.delete("/decisions/{answer}")
def take_back(work: WorkOf, answer: Annotated[int, InPath(ge=0, le=LARGEST)]) -> dict[str, Any]:
    """Bring back what was decided before an answer; 0 means the last one."""
    found = work.answers.undo(work.database, answer or None)
    if found is None:
        raise HTTPException(410, "This answer cannot be taken back: it was given before the server started.")
    return _answered(work, found)


@router.get("/runs")
def runs(work: WorkOf, limit: Limit = 50) -> dict[str, Any]:
    """The runs that wrote, the newest first."""
    return {"items": [run_as_json(run) for run in work.current.get().runs[:limit]]}


@router.post("/runs/{run}/undo", status_code=202)
def undo(work: WorkOf, run: Number) -> dict[str, Any]:
    """Give every file of a run its very bytes back; a job."""
    return work.jobs.start("undo", "--yes", operands=[str(run)]).as_json()


@router.get("/genres")
def genres(work: WorkOf) -> dict[str, Any]:
    """The known genres with the one above each, and how many tracks have which, decided and in the files."""
    snapshot = work.current.get()
    counted = overview_counts(snapshot)
    return {
        "genres": {name: sorted(above) for name, above in work.taxonomy.parents.items()},
        "decided": counted["genres"],
        "tags": counted["tags"],
    }


@router.get("/stats")
def stats(work: WorkOf) -> dict[str, Any]:
    """The library in numbers: tracks by outcome and relation, and how many each least confidence would write."""
    return overview(work)


@router.get("/map")
def track_map(work: WorkOf) -> Response:
    """The coordinates of all tracks that have features, compressed (docs/reference/api.md says how); 202 while they are
    being made."""
    data = work.map()
    if data is None:
        return JSONResponse({"making": True}, 202)
    return Response(data, media_type="application/json", headers={"content-encoding": "gzip"})


@router.post("/scan", status_code=202)
def start_scan(work: WorkOf, wanted: Scan) -> dict[str, Any]:
    """Scan folders or files; a job."""
    paths = [require_path(path) for path in wanted.paths]
    return work.jobs.start("scan", "--yes" if wanted.write else "--dry-run", operands=paths).as_json()


@router.post("/apply", status_code=202)
def start_writing(work: WorkOf, wanted: Write) -> dict[str, Any]:
    """Write what was decided into the files of tracks, or of the whole library; a job."""
    paths = [track.path for track in Decisions(work.database).tracks(wanted.tracks)]
    if wanted.tracks and not paths:
        raise HTTPException(404, "There is no such track.")
    return work.jobs.start("apply", "--yes", operands=paths).as_json()


@router.post("/plex/diff", status_code=202)
def start_plex_diff(work: WorkOf) -> dict[str, Any]:
    """Say what a sync would change on the Plex server; a job."""
    return work.jobs.start("plex", "diff").as_json()


@router.post("/plex/sync", status_code=202)
def start_plex_sync(work: WorkOf) -> dict[str, Any]:
    """Bring the decisions into the Plex library; a job."""
    return work.jobs.start("plex", "sync", "--yes").as_json()


@router.get("/job")
@router.get("/scan")
def job(work: WorkOf) -> dict[str, Any]:
    """The job at work, or the last one; {} before the first."""
    return {} if work.jobs.current is None else work.jobs.current.as_json()


@router.delete("/job")
@router.delete("/scan")
def stop_job(work: WorkOf) -> dict[str, Any]:
    """Ask the job at work to end in order: what is finished is kept."""
    if not work.jobs.stop():
        raise HTTPException(409, "Nothing is at work.")
    return job(work)


@router.get("/job/events", response_class=StreamingResponse)
@router.get("/scan/events", response_class=StreamingResponse)
async def events(work: WorkOf, request: Request) -> StreamingResponse:
    """The progress of the job as server-sent events, until it ends."""

    async def stream() -> AsyncIterator[str]:
        version = -1
        while not await request.is_disconnected():
            newest = work.jobs.version
            if newest != version:
                version, now = newest, work.jobs.current
                yield f"data: {json.dumps({} if now is None else now.as_json())}\n\n"
                if now is None or now.ended is not None:
                    return
            await asyncio.sleep(0.25)

    return StreamingResponse(stream(), media_type="text/event-stream")


@router.post("/classify")
def classify(work: WorkOf, file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Genre, confidence, votes and explanation of a file that is sent; nothing of it is kept."""
    ending = "".join(c for c in os.path.splitext(file.filename or "")[1][:8] if c.isalnum() or c == ".")
    with tempfile.TemporaryDirectory(prefix="reclass-") as folder:
        path, size = Path(folder) / f"upload{ending}", 0
        with path.open("wb") as target:
            while chunk := file.file.read(_CHUNK):
                size += len(chunk)
                if size > _UPLOAD or shutil.disk_usage(folder).free < _CHUNK * 64:
                    raise HTTPException(413, "The file is too large.")
                target.write(chunk)
        found, _ = explained(work, str(path))
    return {**found, "path": readable(file.filename or "")}


def known_genres(work: Work, names: Iterable[str]) -> tuple[str, ...]:
    """Genres as the taxonomy writes them; 422 where one is not known, or none is named."""
    import click

    from music_reclass.cli.ask import known_genres as known

    try:
        found = known(names, work.taxonomy)
    except click.UsageError as error:
        raise HTTPException(422, error.message) from error
    if not found:
        raise HTTPException(422, "Name a genre.")
    return found


def require_path(path: str) -> str:
    """A path that exists, made absolute; NothingToDo otherwise."""
    full = os.path.expanduser(path)
    if "\0" in full or not os.path.lexists(full):
        raise NothingToDo(f"{readable(path)} does not exist; name a folder or file that holds music.")
    return os.path.abspath(full)


def ranged(data: bytes, kind: str, asked: str) -> Response:
    """The bytes, or the one range of them that is asked for."""
    headers = {"accept-ranges": "bytes", "cache-control": "private, max-age=600"}
    found = re.fullmatch(r"\s*bytes=(\d{0,100})-(\d{0,100})\s*", asked)
    if found is None or not any(found.groups()):
        return Response(data, media_type=kind, headers=headers)
    first, last = found.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    end = min(int(last), len(data) - 1) if first and last else len(data) - 1
    if start > end:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
    headers["content-range"] = f"bytes {start}-{end}/{len(data)}"
    return Response(data[start : end + 1], 206, media_type=kind, headers=headers)


def _answered(work: Work, answer: Answer) -> dict[str, Any]:
    found = Decisions(work.database).tracks(list(answer.tracks[:MOST_ROWS]))
    items = [track_as_json(one, work) for one in found]
    return {"answer": answer.number, "count": len(answer.tracks), "items": items}


def _clip(work: Work, number: int) -> Any:
    track = one_track(work, number)
    status = file_status(track.path)
    return work.reader.excerpt(track.path, status.st_size, status.st_mtime_ns)
