"""`calibrate`: exits of the ladder certified on the user's own library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import complain, plain, print_json, say

if TYPE_CHECKING:
    from music_reclass.classification.calibrating import Calibration, Sample
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings


@click.command()
@click.option("--from-library", is_flag=True, help="Certify the exits on this library, for every later scan of it.")
@click.option(
    "--label-free",
    is_flag=True,
    help="Promise agreement with the whole ladder instead of right genres; needs no tags.",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.02,
    show_default=True,
    help="Which part of all tracks may be lost at an exit.",
)
@click.option(
    "--delta",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.1,
    show_default=True,
    help="How likely the promise may fail; the exits share it.",
)
@click.option(
    "--max-tracks", type=click.IntRange(1), default=1000, show_default=True, help="Listen to at most this many."
)
@click.option("--seed", type=int, default=0, show_default=True, help="For the draw of one track an artist.")
@click.option("--forget", is_flag=True, help="Drop the exits certified here; those of the bundles hold again.")
@click.option("--stages", metavar="LIST", help="The stages of the ladder, as for scan.")
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="The bundle or ladder, as for scan.")
@click.option("-n", "--dry-run", "dry_run", is_flag=True, help="Say how much there is to listen to; change nothing.")
@database_flags
@json_flag
def calibrate(stages: str | None, bundle: Path | None, **words: Any) -> int:
    """From which confidence on a track may leave the ladder early, certified on your own library.

    Without --from-library or --forget: the exits that hold now.
    """
    from music_reclass.cli.listing import open_library
    from music_reclass.cli.session import session
    from music_reclass.errors import UsageError

    if words["from_library"] and words["forget"]:
        raise UsageError("say --from-library or --forget, not both.")
    if words["label_free"] and not words["from_library"]:
        raise UsageError("--label-free goes with --from-library.")
    settings = settings_from(words["config_file"], db=words["db"], stages=stages, bundle=bundle)
    open_library(words["db"], words["config_file"]).close()  # a library that is not there is said before one is made
    with session(settings, "calibrate") as work:
        if words["forget"]:
            return _forget(work, words["dry_run"], words["as_json"])
        if not words["from_library"]:
            return _show_certificates(work, settings, words["as_json"])
        return _calibrate(work, settings, words)


def _calibrate(work: Session, settings: Settings, words: dict[str, Any]) -> int:
    from music_reclass.classification import calibrating
    from music_reclass.classification.sources import Listener
    from music_reclass.cli.audit_exits import show_waiting
    from music_reclass.cli.session import ladder_for
    from music_reclass.utils.progress import progress_bar

    promise = calibrating.Promise(not words["label_free"], words["epsilon"], words["delta"])
    ladder = ladder_for(settings, work.taxonomy, {})
    sample = calibrating.draw(work.database, ladder, promise.labels, words["max_tracks"], words["seed"])
    if words["dry_run"]:
        tracks = list(sample.genres)
        return show_waiting(work, ladder, tracks, _drawn(sample, promise.labels), words["as_json"])
    if not words["as_json"]:
        say("drawn", _drawn(sample, promise.labels))
    listener = Listener(work.database, settings)
    found = calibrating.calibrated(
        work.database, ladder, sample, promise, listener, lambda: bool(work.stop), progress_bar
    )
    if found.stopped:
        complain("stopped as you asked; what was heard is kept: the same command goes on from here.")
        return 130
    calibrating.keep(work.database, found)
    _show(found, words["as_json"])
    return 0


def _drawn(sample: Sample, labels: bool) -> str:
    which = "that carry a genre of their own" if labels else "that were listened to"
    known = f"; {sample.known:,} artists taught a model and are left out" if sample.known else ""
    count = f"{len(sample.genres):,} tracks, each of another artist"
    return f"{count}, of {sample.tracks:,} by {sample.artists:,} {which}{known}"


def _show(found: Calibration, as_json: bool) -> None:
    from music_reclass.training.exits import stated

    if not as_json and found.unheard:
        say("left out", f"{found.unheard:,} tracks that not every stage could hear")
    for digest, own in found.exits.items():
        missing = found.missing(digest)
        if as_json:
            print_json({"stage": found.names[digest], "digest": digest, **stated(own), "more_artists": missing})
            continue
        say(found.names[digest], own.sentence())
        if missing:
            say("", f"{missing:,} more artists would be the least, if nothing is lost among them")
    if not as_json:
        plain("every later scan of this library goes by it; back to the models' own: reclass calibrate --forget")


def _forget(work: Session, dry_run: bool, as_json: bool) -> int:
    from music_reclass.features.calibrations import OwnExits

    own = OwnExits(work.database)
    count = len(own.all()) if dry_run else own.forget()
    if as_json:
        print_json({"forgotten": 0 if dry_run else count, "would_forget": count})
    else:
        say(
            "forgotten",
            f"{count:,} certificate{'' if count == 1 else 's'}" + (" would be (dry run)" if dry_run else ""),
        )
    return 0


def _show_certificates(work: Session, settings: Settings, as_json: bool) -> int:
    from dataclasses import asdict

    from music_reclass.classification.calibrating import certificates_of
    from music_reclass.classification.reporting import certificate_lines
    from music_reclass.cli.session import ladder_for

    found = certificates_of(work.database, ladder_for(settings, work.taxonomy))
    if as_json:
        for own in found:
            print_json(asdict(own))
        return 0
    for label, text in certificate_lines(found):
        say(label, text)
    if not found:
        say("exits", "there is one stage only: nobody leaves it early")
    return 0
