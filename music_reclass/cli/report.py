"""`report`: the library in figures and lists, as text, as JSON, or as one page that opens anywhere."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import json_flag, setting_flags
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
@setting_flags()
@json_flag
def report(page: Path | None, most: int, as_json: bool, settings: Settings) -> None:
    """Figures of the library: outcomes, stages and their cost, expected precision, confusions, what to look at.

    Reads the library only; no file is opened and nothing is written.
    """
    from music_reclass.cli.session import cascade_for, reading
    from music_reclass.report.page import page_of
    from music_reclass.report.summary import report_of
    from music_reclass.taxonomy import load

    if page is not None:
        check_output(page)
    with reading(settings) as library:
        found = report_of(library, cascade_for(settings, load(settings.taxonomy), library), most)
    if page is not None:
        write_file(page, page_of(found))
    if as_json:
        print_json(found.as_json())
        return
    _show(found)
    if page is not None:
        say("page", printable(str(page)))


def _show(found: Report) -> None:
    from music_reclass.report import summary as reporting

    figures = found.figures
    say("library", f"{found.library['tracks']:,} tracks, {found.library['missing']:,} missing")
    say("outcomes", " · ".join(f"{name} {count:,}" for name, count in figures.outcomes.items()) or "none yet")
    for label, text in (
        *reporting.stage_lines(figures),
        *(("cost", reporting.cost_words(name, cost)) for name, cost in found.costs.items()),
        *reporting.expectation_lines(figures),
        *reporting.confusion_lines(figures, 10),
        *reporting.certificate_lines(found.certificates),
        *reporting.audit_lines(found.audits[:1]),
    ):
        say(label, printable(text))
    for scan in found.scans[:SHOWN]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(scan.started))
        say("scan", f"{when}  {reporting.scan_words(scan)}")
    _list("conflicts", found.conflicts, "decided against the own tag")
    _list("unsure", found.unsure, "nobody is sure of")
    for cause in found.failures:
        say(cause.outcome, f"{cause.count:,} {cause.reason}")
        for path, detail in cause.examples[:SHOWN]:
            say("", f"{printable(shorten_home(path))}  {printable(detail)}")


def _list(label: str, listing: Listing, what: str) -> None:
    from music_reclass.utils.html import counted

    if not listing.all_tracks:
        return
    say(label, f"{counted(listing.all_tracks, 'track')} of {counted(listing.all_albums, 'album')} {what}")
    for album in listing.albums[:SHOWN]:
        plain(f"\n  {printable(album.name or shorten_home(album.folder))}  ({album.count:,})")
        for track in album.tracks[:SHOWN]:
            genres = "  ".join(f"{genre} {p:.2f}" for genre, p in track.genres)
            tags = printable(", ".join(track.tags))[:24] or "no genre"
            plain(f"    {printable(os.path.basename(track.path))[:44]:<44} {tags:<24} -> {genres}")
    if listing.all_albums > SHOWN:
        plain(f"\n  ... and {listing.all_albums - SHOWN:,} more; a page of them: reclass report --html FILE")
    plain()
