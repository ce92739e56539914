"""The report as one self-contained HTML page."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from music_reclass.features.statistics import BINS
from music_reclass.report import summary as reporting
from music_reclass.report.summary import cost_words, duration
from music_reclass.utils import html as page
from music_reclass.utils.html import AMBER, BLUE, GREEN, GREY, RED, counted, escape

if TYPE_CHECKING:
    from music_reclass.features.statistics import Cause
    from music_reclass.report.listings import ListedAlbum, ListedTrack, Listing
    from music_reclass.report.statistics import Statistics
    from music_reclass.report.summary import Report


def conflicts(listing: Listing) -> Iterator[str]:
    """Tags that the decisions contradict, by album."""
    yield "<h2 id='conflicts'>Decided against their own tag</h2>"
    if not listing.all_tracks:
        yield "<p>None.</p>"
        return
    yield (
        f"<p>{_whole(listing)}, the surest decision first. After a look: "
        "<code>reclass apply --on-existing replace-conflict</code>. <code>reclass audit</code> judges tags by models "
        "that never saw their artists.</p>"
    )
    for album in listing.albums:
        yield _album(album, "decided")
    yield _more(listing)


def unsure(listing: Listing) -> Iterator[str]:
    """Tracks nobody is sure of, by album."""
    yield "<h2 id='unsure'>Nobody is sure</h2>"
    if not listing.all_tracks:
        yield "<p>None.</p>"
        return
    yield (
        f"<p>{_whole(listing)}. Whole albums stand first, because one "
        "look settles all of their tracks; then what a further stage would gain most from, or what is nearest to a "
        "decision.</p>"
    )
    for album in listing.albums:
        yield _album(album, "likeliest")
    yield _more(listing)


def _whole(listing: Listing) -> str:
    return f"{counted(listing.all_tracks, 'track')} of {counted(listing.all_albums, 'album')}"


def _album(album: ListedAlbum, said: str) -> str:
    name = escape(album.name or os.path.basename(album.folder) or album.folder)
    first = album.tracks[0]
    arrow = f"{', '.join(first.tags) or 'no genre'} → {', '.join(genre for genre, _ in first.genres[:1]) or '?'}"
    figure = f"{arrow} {first.confidence:.2f}, {counted(album.count, 'track')}"
    more = album.count - len(album.tracks)
    last = f"<tr><td colspan='3'><small>and {more:,} more</small></td></tr>" if more > 0 else ""
    return (
        f"<details><summary>{name} <span>{escape(figure)}</span></summary><small>{escape(album.folder)}</small>"
        "<table class='list'><tr>"
        + "".join(f"<td><small>{text}</small></td>" for text in ("file", "own tag", said))
        + f"</tr>{''.join(map(_row, album.tracks))}{last}</table></details>"
    )


def _row(track: ListedTrack) -> str:
    genres = ", ".join(f"{genre} {p:.2f}" for genre, p in track.genres)
    tags = ", ".join(track.tags)
    return f"<tr><td>{escape(os.path.basename(track.path))}</td><td>{escape(tags)}</td><td>{escape(genres)}</td></tr>"


def _more(listing: Listing) -> str:
    left = listing.all_albums - len(listing.albums)
    if left <= 0:
        return ""
    return (
        f"<p class='note'>and {counted(left, 'more album')}; all tracks: <code>reclass export --format csv</code></p>"
    )


def failures(causes: Iterable[Cause]) -> Iterator[str]:
    """What could not be heard, by cause."""
    yield "<h2 id='failures'>Skipped and failed</h2>"
    empty = True
    for cause in causes:
        empty = False
        shown = "".join(f"<tr><td>{escape(path)}</td><td>{escape(detail)}</td></tr>" for path, detail in cause.examples)
        more = cause.count - len(cause.examples)
        last = f"<p class='note'>and {more:,} more: <code>reclass status --failed</code></p>" if more > 0 else ""
        yield (
            f"<details><summary>{escape(cause.outcome)}: {escape(cause.reason)} <span>{cause.count:,}</span></summary>"
            f"<table class='list'>{shown}</table>{last}</details>"
        )
    if empty:
        yield "<p>None.</p>"


TITLE = "Library report"
_COLOURS = {"confident": GREEN, "likely": BLUE, "unsure": AMBER, "skipped": GREY, "failed": RED}
_GENRES = 30
_STYLE = (
    "nav a{margin-right:1rem}h2{margin-top:2.5rem;border-bottom:1px solid #8884}"
    ".tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}"
    ".tiles div{border:1px solid #8886;border-radius:6px;padding:.5rem 1rem;min-width:7rem}"
    ".tiles b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}"
    ".pair{display:flex;flex-wrap:wrap;gap:1.5rem}.pair>div{flex:1 1 25rem;min-width:0}"
    ".note{opacity:.8;max-width:46rem}"
    "details{border-bottom:1px solid #8883;padding:.25rem 0}summary{cursor:pointer}"
    "summary span{opacity:.7;float:right;padding-left:1rem}.list td{text-align:left}"
    ".list{width:100%;table-layout:fixed;margin:.4rem 0}.list td{overflow-wrap:anywhere}.list td:first-child{width:48%}"
    "small{opacity:.7;overflow-wrap:anywhere}"
)


def page_of(report: Report) -> str:
    """The whole page."""
    return page.document(TITLE, _parts(report), _STYLE)


def _parts(report: Report) -> Iterator[str]:
    figures = report.figures
    when = time.strftime("%Y-%m-%d %H:%M")
    yield f"<h1>{TITLE}</h1><p class='note'>As of {when}. Decisions and tags as last scanned; nothing was opened.</p>"
    yield (
        "<nav><a href='#outcomes'>Outcomes</a><a href='#stages'>Stages</a><a href='#genres'>Genres</a>"
        "<a href='#tags'>Own tags</a><a href='#conflicts'>Conflicts</a><a href='#unsure'>Unsure</a>"
        "<a href='#failures'>Failures</a><a href='#scans'>Scans</a></nav>"
    )
    yield _tiles(report)
    yield from _outcomes(figures)
    yield from _stages(report)
    yield f"<h2 id='genres'>Genres</h2>{_genres(figures)}"
    yield from _own_tags(figures)
    yield from conflicts(report.conflicts)
    yield from unsure(report.unsure)
    yield from failures(report.failures)
    yield from _scans(report)


def _tiles(report: Report) -> str:
    counts = report.figures.outcomes
    tiles = [
        ("tracks", report.library["tracks"]),
        ("confident", counts.get("confident", 0)),
        ("likely", counts.get("likely", 0)),
        ("unsure", counts.get("unsure", 0)),
        ("skipped or failed", counts.get("skipped", 0) + counts.get("failed", 0)),
        ("against their own tag", report.conflicts.all_tracks),
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
    yield page.bars(rows, "tracks by outcome")
    yield "<h3>Confidence</h3>"
    parts = {name: (counts, _COLOURS[name]) for name, counts in figures.histogram.items() if any(counts)}
    yield page.histogram(BINS, parts, "confidence", "tracks by confidence and outcome")
    yield "<h3>Precision to expect</h3>"
    yield (
        "<p class='note'>The mean calibrated confidence of the decisions: so many of them should be right. It assumes "
        "music like that on which the models were calibrated. What a model's bundle promises was certified on artists "
        "that it never saw.</p>"
    )
    yield page.table(
        ("outcome", "stage", "tracks", "expected right", "promised"),
        (
            (own.outcome, own.stage, f"{own.tracks:,}", f"{own.precision:.1%}", reporting.guarantee_words(own))
            for own in figures.expected
        ),
    )


def _stages(report: Report) -> Iterator[str]:
    figures = report.figures
    yield "<h2 id='stages'>Stages</h2><p class='note'>Which stage had the last word, and what listening cost.</p>"
    total = sum(own.tracks for own in figures.settled) or 1
    mix = [
        (
            own.stage,
            float(own.tracks),
            f"{own.tracks:,} ({own.tracks / total:.1%})" + (f", {own.by_album:,} by album" if own.by_album else ""),
            BLUE,
        )
        for own in figures.settled
    ]
    costs = [
        (name, cost.seconds_per_track or 0.0, f"{cost.seconds_per_track or 0.0:.2g} s a track", AMBER)
        for name, cost in report.costs.items()
    ]
    yield f"<div class='pair'><div><h3>Last word</h3>{page.bars(mix, 'tracks by stage')}</div>"
    if costs:
        yield f"<div><h3>Time</h3>{page.bars(costs, 'wall seconds a track by stage, in the last scans')}</div>"
    yield "</div>"
    lines = [*reporting.certificate_lines(report.certificates), *reporting.audit_lines(report.audits)]
    if lines:
        rows = page.table(("", ""), lines).replace("<tr><th></th><th></th></tr>", "")
        yield f"<h3>Leaving early</h3><div class='list'>{rows}</div>"


def _genres(figures: Statistics) -> str:
    rows = [(name, float(count), f"{count:,}", BLUE) for name, count in list(figures.genres.items())[:_GENRES]]
    more = len(figures.genres) - _GENRES
    return (page.bars(rows, "tracks by decided genre") if rows else "<p>No genre was decided yet.</p>") + (
        f"<p class='note'>and {more:,} more genres</p>" if more > 0 else ""
    )


def _own_tags(figures: Statistics) -> Iterator[str]:
    yield "<h2 id='tags'>Decisions beside your own tags</h2>"
    if not figures.tagged:
        yield "<p>No decided track carries a tag of its own that names a known genre.</p>"
        return
    yield (
        f"<p>{figures.tagged:,} decided tracks carry a genre that reclass did not write and that it knows; "
        f"{figures.borne_out / figures.tagged:.1%} of the decisions are borne out by it: one contains the other, as "
        "Rock does Shoegaze.</p>"
    )
    yield (
        "<p class='note'>A tag is somebody's word, not the truth: where tags are sloppy the line lies too low, and "
        "tags that came from the same model would lift it. Read it as agreement, not as accuracy. Where the tags can "
        "be trusted and the line runs on the diagonal, a confidence of 0.7 is right 7 times in 10.</p>"
    )
    curve = page.plot(
        [(own.confidence, own.right) for own in figures.reliability],
        "confidence",
        "share borne out by the tag",
        diagonal=True,
        sizes=[own.count for own in figures.reliability],
    )
    confusions = page.table(
        ("decided", "own tag", "tracks"), ((own.genre, own.tag, f"{own.tracks:,}") for own in figures.confusions)
    )
    yield f"<div class='pair'><div>{curve}</div><div><h3>Largest confusions</h3>{confusions or 'none'}</div></div>"
    yield (
        "<h3>Own tag by decided genre</h3>"
        "<p class='note'>Rows: your tag; columns: the decision; shade: share of the row.</p>"
    )
    yield page.matrix(figures.matrix_names, figures.matrix, "decided as", "own tag by decided genre")


def _scans(report: Report) -> Iterator[str]:
    yield "<h2 id='scans'>Last scans</h2>"
    rows = (
        (
            time.strftime("%Y-%m-%d %H:%M", time.localtime(scan.started)),
            f"{scan.found:,}",
            f"{scan.decided:,}",
            duration(sum(scan.seconds.values())) + (" (stopped)" if scan.stopped else ""),
            " · ".join(cost_words(name, cost) for name, cost in scan.stages.items() if cost.extracted)
            or "nothing new to hear",
        )
        for scan in report.scans
    )
    yield page.table(("when", "files", "decided", "time", "listening"), rows) or "<p>None was kept.</p>"
