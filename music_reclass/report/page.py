"""The report as one self-contained HTML page."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from music_reclass.features.statistics import BINS
from music_reclass.report import text
from music_reclass.report.listings import genres_of
from music_reclass.report.text import counted, duration
from music_reclass.utils import html
from music_reclass.utils.html import AMBER, BLUE, GREEN, GREY, RED, escape

if TYPE_CHECKING:
    from music_reclass.domain import Track
    from music_reclass.features.statistics import Cause
    from music_reclass.report.listings import ListedAlbum, Listing
    from music_reclass.report.statistics import Statistics
    from music_reclass.report.summary import Report

TITLE = "Library report"
_COLOURS = {"confident": GREEN, "likely": BLUE, "unsure": AMBER, "skipped": GREY, "failed": RED}
_GENRES = 30
_STYLE = (
    "nav a{margin-right:1rem;display:inline-block}h2{margin-top:2.5rem;border-bottom:1px solid #8884}"
    ".tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}"
    ".tiles div{border:1px solid #8886;border-radius:6px;padding:.5rem 1rem;min-width:7rem}"
    ".tiles b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}"
    ".pair{display:flex;flex-wrap:wrap;gap:1.5rem}.pair>div{flex:1 1 min(25rem,100%);min-width:0}"
    ".note{opacity:.8;max-width:46rem}"
    "details{border-bottom:1px solid #8883;padding:.25rem 0}summary{cursor:pointer}"
    "summary span{opacity:.7;float:right;padding-left:1rem}.list td{text-align:left}"
    ".list{width:100%;display:table;table-layout:fixed;margin:.4rem 0}"
    ".list td{overflow-wrap:anywhere}.list td:first-child{width:48%}"
    "small{opacity:.7;overflow-wrap:anywhere}"
    "@media(max-width:40rem){body{margin:1rem auto;padding:0 .7rem}summary span{float:none;display:block;padding:0}"
    "td,th{padding:.15rem .4rem}}"
)


def page_of(report: Report) -> str:
    """The whole page."""
    return html.document(TITLE, _parts(report), _STYLE)


def _parts(report: Report) -> Iterator[str]:
    figures = report.figures
    when = time.strftime("%Y-%m-%d %H:%M")
    yield f"<h1>{TITLE}</h1><p class='note'>As of {when}. Decisions and tags as last scanned; no file was opened.</p>"
    yield (
        "<nav><a href='#outcomes'>Outcomes</a><a href='#genres'>Genres</a><a href='#conflicts'>Other genre in the tag"
        "</a><a href='#unsure'>Not sure</a><a href='#failures'>Left out</a><a href='#tags'>Your tags</a>"
        "<a href='#stages'>Stages</a><a href='#scans'>Scans</a></nav>"
    )
    yield _tiles(report)
    yield from _outcomes(figures)
    yield f"<h2 id='genres'>Genres</h2>{_genres(figures)}"
    yield from _conflicts(report.conflicts)
    yield from _unsure(report.unsure)
    yield from _failures(report.failures)
    yield from _agreement(figures)
    yield from _stages(report)
    yield from _scans(report)


def _tiles(report: Report) -> str:
    counts = report.figures.outcomes
    tiles = [
        ("tracks", report.library["tracks"]),
        ("with a genre", counts.get("confident", 0) + counts.get("likely", 0)),
        ("not sure", counts.get("unsure", 0)),
        ("left out", counts.get("skipped", 0) + counts.get("failed", 0)),
        ("with another genre in the tag", report.conflicts.all_tracks),
    ]
    if report.library["missing"]:
        tiles.append(("missing", report.library["missing"]))
    return "<div class='tiles'>" + "".join(f"<div><b>{count:,}</b>{name}</div>" for name, count in tiles) + "</div>"


def _outcomes(figures: Statistics) -> Iterator[str]:
    yield "<h2 id='outcomes'>Outcomes</h2>"
    total = sum(figures.outcomes.values()) or 1
    rows = [
        (name, float(count), f"{count:,} ({count / total:.1%})", _COLOURS[name])
        for name, count in figures.outcomes.items()
    ]
    yield html.bars(rows, "tracks by outcome")
    yield (
        "<p class='note'>Confident and likely decisions get a genre. Unsure ones are left alone. Skipped and failed "
        "files could not be used.</p>"
    )
    yield "<h3>How sure</h3>"
    parts = {name: (counts, _COLOURS[name]) for name, counts in figures.histogram.items() if any(counts)}
    yield html.histogram(BINS, parts, "confidence", "tracks by confidence and outcome")
    yield "<h3>How many of them should be right</h3>"
    yield (
        "<p class='note'>The mean confidence of the decisions: with 80 %, about 8 in 10 should be right. It holds for "
        "music like that from which the models learned. Certified is what was proved on artists that the model had "
        "never met.</p>"
    )
    yield html.table(
        ("outcome", "stage", "tracks", "should be right", "certified"),
        (
            (row.outcome, row.stage, f"{row.tracks:,}", f"{row.precision:.1%}", text.certified_precision(row))
            for row in figures.expected
        ),
    )


def _genres(figures: Statistics) -> str:
    rows = [(name, float(count), f"{count:,}", BLUE) for name, count in list(figures.genres.items())[:_GENRES]]
    more = len(figures.genres) - _GENRES
    return (html.bars(rows, "tracks by decided genre") if rows else "<p>No genre was decided yet.</p>") + (
        f"<p class='note'>and {counted(more, 'more genre')}</p>" if more > 0 else ""
    )


def _conflicts(listing: Listing) -> Iterator[str]:
    """Tags that the decisions contradict, by album."""
    yield "<h2 id='conflicts'>Another genre in the tag</h2>"
    if not listing.all_tracks:
        yield "<p>None.</p>"
        return
    yield (
        f"<p>{_size(listing)}, the surest decision first; left alone. To replace after a look: "
        "<code>reclass apply --on-existing replace-conflict</code>. <code>reclass audit</code> finds the tags that are "
        "most likely wrong, by models that never met their artists.</p>"
    )
    for album in listing.albums:
        yield _album(album, "decided")
    yield _more(listing)


def _unsure(listing: Listing) -> Iterator[str]:
    """Uncertain tracks, by album."""
    yield "<h2 id='unsure'>Not sure</h2>"
    if not listing.all_tracks:
        yield "<p>None.</p>"
        return
    yield (
        f"<p>{_size(listing)}, left alone. Whole albums stand first, because one look settles all of their tracks; "
        "then those that a further stage would help most, or that are nearest to a decision.</p>"
    )
    for album in listing.albums:
        yield _album(album, "likeliest")
    yield _more(listing)


def _size(listing: Listing) -> str:
    return f"{counted(listing.all_tracks, 'track')} of {counted(listing.all_albums, 'album')}"


def _album(album: ListedAlbum, genres_are: str) -> str:
    name = escape(album.name or os.path.basename(album.folder) or album.folder)
    first = album.tracks[0]
    genres = genres_of(first)
    tags = ", ".join(first.tags.genres or ()) or "no genre"
    arrow = f"{tags} → {genres[0][0]} {text.percent(genres[0][1])}" if genres else f"{tags} → ?"
    figure = f"{arrow}, {counted(album.count, 'track')}"
    more = album.count - len(album.tracks)
    last = f"<tr><td colspan='3'><small>and {more:,} more</small></td></tr>" if more > 0 else ""
    return (
        f"<details><summary>{name} <span>{escape(figure)}</span></summary><small>{escape(album.folder)}</small>"
        "<table class='list'><tr>"
        + "".join(f"<td><small>{head}</small></td>" for head in ("file", "tag", genres_are))
        + f"</tr>{''.join(map(_row, album.tracks))}{last}</table></details>"
    )


def _row(track: Track) -> str:
    cells = (
        os.path.basename(track.path),
        ", ".join(track.tags.genres or ()),
        ", ".join(f"{genre} {text.percent(p)}" for genre, p in genres_of(track)),
    )
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _more(listing: Listing) -> str:
    left = listing.all_albums - len(listing.albums)
    if left <= 0:
        return ""
    return (
        f"<p class='note'>and {counted(left, 'more album')}; all tracks: <code>reclass export --format csv</code></p>"
    )


def _failures(causes: Iterable[Cause]) -> Iterator[str]:
    """Files that could not be used, by cause."""
    yield "<h2 id='failures'>Left out</h2>"
    empty = True
    for cause in causes:
        empty = False
        shown = "".join(f"<tr><td>{escape(path)}</td><td>{escape(detail)}</td></tr>" for path, detail in cause.examples)
        more = cause.count - len(cause.examples)
        last = f"<p class='note'>and {more:,} more: <code>reclass status --failed</code></p>" if more > 0 else ""
        yield (
            f"<details><summary>{escape(text.cause_text(cause.reason))} <span>{cause.count:,}</span></summary>"
            f"<table class='list'>{shown}</table>{last}</details>"
        )
    if empty:
        yield "<p>None.</p>"


def _agreement(figures: Statistics) -> Iterator[str]:
    yield "<h2 id='tags'>Decisions and your tags</h2>"
    if not figures.tagged:
        yield "<p>No decided track carries a known genre that reclass did not write.</p>"
        return
    yield (
        f"<p>{counted(figures.tagged, 'decided track')} with a known genre that reclass did not write: "
        f"{figures.agreeing / figures.tagged:.1%} of the decisions agree with it. They agree where one contains the "
        "other, as Rock does Shoegaze.</p>"
    )
    yield (
        "<p class='note'>A tag is somebody's opinion, not the truth: sloppy tags lower the line, and tags made by the "
        "same model would lift it. Where tags can be trusted and the line runs on the diagonal, a confidence of "
        "70 % is right 7 times in 10.</p>"
    )
    curve = html.plot(
        [(point.confidence, point.precision) for point in figures.reliability],
        "confidence",
        "share that agrees with the tag",
        diagonal=True,
        sizes=[point.count for point in figures.reliability],
    )
    confusions = html.table(
        ("decided", "tag", "tracks"), ((genre, tag, f"{count:,}") for genre, tag, count in figures.confusions)
    )
    yield f"<div class='pair'><div>{curve}</div><div><h3>Largest confusions</h3>{confusions or 'none'}</div></div>"
    yield (
        "<h3>Tag by decided genre</h3>"
        "<p class='note'>Rows: your tag; columns: the decision; shade: share of the row.</p>"
    )
    yield html.matrix(figures.matrix_names, figures.matrix, "decided as", "tag by decided genre")


def _stages(report: Report) -> Iterator[str]:
    yield "<h2 id='stages'>Stages</h2><p class='note'>Which stage decided, and how long it takes.</p>"
    decided = report.figures.decided_by
    total = sum(tracks for tracks, _ in decided.values()) or 1
    mix = [
        (
            stage,
            float(tracks),
            f"{tracks:,} ({tracks / total:.1%})" + (f", {by_album:,} by album" if by_album else ""),
            BLUE,
        )
        for stage, (tracks, by_album) in decided.items()
    ]
    costs = [
        (name, cost.seconds_per_track or 0.0, f"{cost.seconds_per_track or 0.0:.2g} s a track", AMBER)
        for name, cost in report.costs.items()
    ]
    yield f"<div class='pair'><div><h3>Decided by</h3>{html.bars(mix, 'tracks by stage')}</div>"
    if costs:
        yield f"<div><h3>Time</h3>{html.bars(costs, 'wall seconds a track by stage, in the last scans')}</div>"
    yield "</div>"
    settings = text.setting_lines(report.policy, report.prior) if report.certificates or report.prior else ()
    lines = [
        *text.certificate_lines(report.certificates),
        *settings,
        *text.policy_lines(report.policies, "expected right"),
        *text.audit_lines(report.audits),
    ]
    if lines:
        rows = html.table(("", ""), lines).replace("<tr><th></th><th></th></tr>", "")
        yield f"<h3>Early exits</h3><div class='list'>{rows}</div>"


def _scans(report: Report) -> Iterator[str]:
    yield "<h2 id='scans'>Last scans</h2>"
    rows = (
        (
            time.strftime("%Y-%m-%d %H:%M", time.localtime(scan.started)),
            f"{scan.found:,}",
            f"{scan.decided:,}",
            duration(sum(scan.seconds.values())) + (" (stopped)" if scan.stopped else ""),
            text.costs_text(scan),
        )
        for scan in report.scans
    )
    yield html.table(("when", "files", "decided", "time", "by stage"), rows) or "<p>None was kept.</p>"
