"""`report`: the library in figures and lists, as text, as JSON, or as one page that opens anywhere."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import Selection, force_flag, json_flag, selection_flags, setting_flags
from music_reclass.cli.output import check_output, plain, print_json, printable, say, shorten_home, write_file

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.report.listings import Listing
    from music_reclass.report.summary import Report

SHOWN = 5  # albums, paths and scans on a terminal; the page and --json hold more


@click.command()
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write one self-contained page to FILE."
)
@click.option(
    "--most", type=click.IntRange(1), default=100, show_default=True, help="How many albums a list of the page holds."
)
@force_flag
@selection_flags
@setting_flags("taxonomy", "exit_policy", "effort", "prior")
@json_flag
def report(page: Path | None, most: int, force: bool, selection: Selection, as_json: bool, settings: Settings) -> None:
    """How the library stands: genres, what is not sure, where tags say something else, and which stage decided what.

    Reads the library only; no file is opened and nothing is written.
    """
    from music_reclass.cli.session import cascade_for, reading
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.scope import Scope
    from music_reclass.report.page import page_of
    from music_reclass.report.summary import report_of
    from music_reclass.taxonomy import load

    if page is not None:
        check_output(page, force=force)
    with reading(settings) as library:
        taxonomy = load(settings.taxonomy)
        scope = None
        if any(selection):
            scope = Scope(library)
            scope.add([track.id for track in selection.tracks(Decisions(library), taxonomy)])
        found = report_of(library, cascade_for(settings, taxonomy, library), most, scope)
    if page is not None:
        write_file(page, page_of(found), force=force)
    if as_json:
        print_json(found.as_json())
        return
    _show(found)
    if page is not None:
        say("page", printable(str(page)))


def _show(found: Report) -> None:
    from music_reclass.report import text

    figures = found.figures
    missing = f", {found.library['missing']:,} of them missing" if found.library["missing"] else ""
    say("library", f"{text.counted(found.library['tracks'], 'track')}{missing}")
    reasons = {f"{cause.outcome}: {cause.reason}": cause.count for cause in found.failures}
    right = sum(row.tracks * row.precision for row in figures.expected)
    for line in text.outcome_lines(figures.outcomes, reasons, right):
        plain(printable(line))
    if figures.genres:
        say("genres", " · ".join(f"{printable(genre)} {count:,}" for genre, count in figures.genres.items()))
    for label, line in text.agreement_lines(figures, 10):
        say(label, printable(line))
    _list("conflicts", found.conflicts, "with another genre in the tag, left alone")
    _list("not sure", found.unsure, "left alone, with the likeliest genres")
    for cause in found.failures:
        say(cause.outcome, f"{text.counted(cause.count, 'file')}: {text.cause_text(cause.reason)}")
        for path, detail in cause.examples[:SHOWN]:
            say("", f"{printable(shorten_home(path))}  {printable(detail)}")
    for label, line in (
        *text.stage_lines(figures),
        *(("time", text.cost_text(name, cost)) for name, cost in found.costs.items()),
        *text.precision_lines(figures),
        *text.certificate_lines(found.certificates),
        *text.setting_lines(found.policy, found.prior),
        *text.policy_lines(found.policies, "expected right"),
        *text.audit_lines(found.audits[:1]),
    ):
        say(label, printable(line))
    for scan in found.scans[:SHOWN]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(scan.started))
        say("scan", f"{when}  {text.scan_text(scan)}")


def _list(label: str, listing: Listing, what: str) -> None:
    from music_reclass.report.listings import genres_of
    from music_reclass.report.text import counted, percent

    if not listing.all_tracks:
        return
    say(label, f"{counted(listing.all_tracks, 'track')} of {counted(listing.all_albums, 'album')} {what}")
    for album in listing.albums[:SHOWN]:
        plain(f"\n  {printable(album.name or shorten_home(album.folder))}  ({counted(album.count, 'track')})")
        for track in album.tracks[:SHOWN]:
            genres = "  ".join(f"{genre} {percent(p)}" for genre, p in genres_of(track))
            tags = printable(", ".join(track.tags.genres or ()))[:24] or "no genre"
            plain(f"    {printable(os.path.basename(track.path))[:44]:<44} {tags:<24} -> {genres}")
    if listing.all_albums > SHOWN:
        plain(
            f"\n  and {counted(listing.all_albums - SHOWN, 'more album')}; a page of them: reclass report --html FILE"
        )
    plain()
