"""The pages: HTML by Jinja2, with htmx for parts that change; no script or style within them."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse

from music_reclass import __version__
from music_reclass.features.decisions import Decisions
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.utils import html
from music_reclass.utils.html import AMBER, BLUE, GREEN, GREY, RED
from music_reclass.utils.words import counted
from music_reclass.web.api import LARGEST, OUTCOME, RELATION, After, Number, Text, WorkOf
from music_reclass.web.contents import (
    alike,
    explained,
    history_of,
    one_track,
    overview,
    overview_counts,
    readable,
    track_as_json,
    under_review,
)
from music_reclass.web.snapshot import OUTCOMES, RELATIONS, Filter

if TYPE_CHECKING:
    from jinja2 import Environment

    from music_reclass.web.work import Work

ROWS = 100
_COLOURS = {"confident": GREEN, "likely": BLUE, "unsure": AMBER, "skipped": GREY, "failed": RED, "undecided": GREY}
_RELATIONS = {  # of what was decided to what is in the file, in words
    "fill": "no genre in the file",
    "junk": "the tag says nothing",
    "agree": "the file agrees",
    "refine": "a wider genre in the file",
    "conflict": "another genre in the file",
}
router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["percent"] = lambda share: f"{share:.0%}"
    made.filters["when"] = lambda at: time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at else ""
    made.filters["minutes"] = lambda seconds: "" if not seconds else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    made.filters["shown"] = lambda genres: "no genre" if genres is None else ", ".join(genres) or "empty"
    made.filters["relation"] = lambda name: _RELATIONS.get(name, name)
    made.globals.update(version=__version__, counted=counted)
    return made


def render(name: str, **values: Any) -> str:
    """A page or a part of one."""
    return _templates().get_template(name).render(**values)


def sign_in() -> str:
    """The page for somebody without a session."""
    return render("sign_in.html")


def drawing(made: str) -> Any:
    """A chart of utils/html.py, whose texts are escaped, as a part of a page."""
    from markupsafe import Markup

    return Markup(made)


@router.get("/")
def show_overview(work: WorkOf) -> str:
    """The library in numbers."""
    found = overview(work)
    total = max(1, found["tracks"])
    rows = [(name, float(n), f"{n:,} ({n / total:.1%})", _COLOURS[name]) for name, n in found["outcomes"].items()]
    charts = {
        "outcomes": html.bars(rows, "tracks by outcome"),
        "before": _genre_bars(found["before"], GREY, "genres in the files", "no genre"),
        "after": _genre_bars(found["after"], BLUE, "decided genres", "none"),
        "stages": _stage_bars(work),
    }
    return render(
        "overview.html", page="overview", found=found, charts={name: drawing(one) for name, one in charts.items()}
    )


def _genre_bars(counts: dict[str, int], colour: str, label: str, empty: str) -> str:
    return html.bars([(name or empty, float(n), f"{n:,}", colour) for name, n in counts.items()], label)


def _stage_bars(work: Work) -> str:
    rows = work.current.get().stages.items()
    return html.bars([(name, float(n), f"{n:,}", GREEN) for name, n in rows], "tracks by the stage that decided")


@router.get("/review")
def show_review(work: WorkOf) -> str:
    """The album to decide first, and the queue behind it."""
    return show_review_of(work, 0)


@router.get("/review/{album}")
def show_review_of(work: WorkOf, album: Annotated[int, InPath(ge=0, le=LARGEST)]) -> str:
    """One album to decide, and the queue."""
    queue = work.current.get().review()
    shown = under_review(work, album or (queue[0] if queue else 0))
    names = sorted(work.taxonomy.parents)
    return render("review.html", page="review", album=shown, queue=queue[:2000], left=len(queue), names=names)


@router.get("/parts/album/{album}")
def show_album(work: WorkOf, album: Annotated[int, InPath(ge=0, le=LARGEST)]) -> str:
    """The album part of the review page; 0: there is none."""
    return render("_album.html", album=under_review(work, album), left=len(work.current.get().review()))


@router.get("/library")
def show_library(
    work: WorkOf, *, q: Text = "", outcome: OUTCOME = "", genre: Text = "", tag: Text = "", relation: RELATION = "",
    after: After = None, part: Annotated[bool, Query()] = False,
) -> str:  # fmt: skip
    """Search, filters and one page of tracks; `part`: the rows alone."""
    snapshot = work.current.get()
    wanted = Filter(q.strip(), outcome, genre, tag, relation)
    ids, last = snapshot.page(wanted, after, ROWS)
    rows = [track_as_json(track, work) for track in Decisions(work.database).tracks(ids)]
    values = {"rows": rows, "next": last, "wanted": wanted, "count": snapshot.count(wanted), "after": after}
    if part:
        return render("_rows.html", **values)
    names = overview_counts(snapshot)
    return render(
        "library.html", page="library", outcomes=OUTCOMES[1:], relations=RELATIONS[1:],
        genres=list(names["genres"])[:200],
        tags=list(names["tags"])[:200], total=len(snapshot), **values,
    )  # fmt: skip


@router.get("/tracks/{track}")
def show_track(work: WorkOf, track: Number) -> str:
    """One track: its sound, votes, explanation and history."""
    found = one_track(work, track)
    user = UserDecisions(work.database).of(found.digest, found.tags)
    votes = [
        (
            vote.stage,
            drawing(html.bars([(name, p, f"{p:.0%}", BLUE) for name, p in vote.top(6)], f"vote of {vote.stage}")),
        )
        for vote in (found.decision.votes if found.decision else ())
    ]
    return render(
        "track.html", page="library", track=track_as_json(found, work), votes=votes, user=user,
        history=history_of(work, found), names=sorted(work.taxonomy.parents),
        album=work.current.get().on_album(found.id)[:200],
    )  # fmt: skip


@router.get("/parts/explanation/{track}")
def show_explanation(work: WorkOf, track: Number) -> str:
    """Why a track has its genre, in sentences."""
    _, lines = explained(work, one_track(work, track).path)
    return render("_explanation.html", lines=[(label, readable(text)) for label, text in lines])


@router.get("/parts/similar/{track}")
def show_similar(work: WorkOf, track: Number) -> str:
    """The tracks that sound most like one."""
    return render("_similar.html", found=alike(work, one_track(work, track), 10))


@router.get("/map")
def show_map(work: WorkOf) -> str:
    """All tracks in a plane."""
    return render("map.html", page="map", count=len(work.current.get()))


@router.get("/runs")
def show_runs(work: WorkOf) -> str:
    """What was written, and undone; what people decided."""
    decided = UserDecisions(work.database).all()[::-1][:100]
    return render("runs.html", page="runs", runs=work.current.get().runs, decided=decided, job=work.jobs.current)


@router.get("/plex")
def show_plex(work: WorkOf) -> str:
    """What a sync with Plex would change."""
    settings = work.settings
    return render("plex.html", page="plex", url=settings.plex_url, library=settings.plex_library)


@router.get("/models")
def show_models(work: WorkOf) -> str:
    """The stages that decide, and the weights that are installed."""
    from music_reclass.cli.session import cascade_for
    from music_reclass.extractors.weights import catalogue, store

    cascade = cascade_for(work.settings, work.taxonomy, work.database)
    weights = [
        (model.name, model.licence, model.size, store.find(model.name) is not None)
        for model in catalogue.MODELS.values()
    ]
    stages = [(stage.name, ", ".join(kind.key for kind in stage.kinds)) for stage in cascade.stages]
    return render("models.html", page="models", stages=stages, absent=dict(cascade.absent), weights=weights)
