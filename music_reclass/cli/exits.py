"""`calibrate` and `audit-exits`: exit rules certified and audited on the user's library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import complain, plain, print_json, say

if TYPE_CHECKING:
    from music_reclass.classification.certify import CertifiedExits, Sample
    from music_reclass.classification.exit_audit import ExitAudit
    from music_reclass.classification.voter import Cascade
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings


@click.command("audit-exits")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.02,
    show_default=True,
    help="Which part of the tracks that left early to draw.",
)
@click.option("--max-tracks", type=click.IntRange(1), help="Draw at most this many.")
@click.option("--seed", type=int, default=0, show_default=True, help="For the draw.")
@click.option("--stages", metavar="LIST", help="The stages of the ladder, as for scan.")
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="The bundle or ladder, as for scan.")
@click.option(
    "-n", "--dry-run", "dry_run", is_flag=True, help="Draw, and say how much there is to listen to; listen to nothing."
)
@database_flags
@json_flag
def audit_exits(
    share: float,
    max_tracks: int | None,
    seed: int,
    stages: str | None,
    bundle: Path | None,
    dry_run: bool,
    db: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> int:
    """Let the whole ladder hear a random part of the tracks that left it early, and say what leaving has cost.

    The exit code is 1 where more is lost than was promised. What is heard is kept; no tag is written and no decision
    changed.
    """
    from music_reclass.classification import exit_audit
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.cli.library import open_library
    from music_reclass.cli.session import cascade_for, session
    from music_reclass.features.certificates import ExitAudits
    from music_reclass.utils.progress import progress_bar

    settings = settings_from(config_file, db=db, stages=stages, bundle=bundle)
    open_library(db, config_file).close()  # a library that is not there is said before one is made
    with session(settings, "audit-exits") as work:
        cascade = cascade_for(settings, work.taxonomy)
        drawn = exit_audit.draw(work.database, cascade, share, max_tracks, seed)
        if dry_run:
            tracks = [own.track for own in drawn.leavers]
            return show_waiting(work, cascade, tracks, f"{len(tracks):,} of {drawn.early:,.0f} early exits", as_json)
        listener = ExtractionRunner(work.database, settings)
        found = exit_audit.audited(work.database, cascade, drawn, listener, lambda: bool(work.stop), progress_bar)
        if not work.stop:
            ExitAudits(work.database).save(found.as_json())
    if as_json:
        print_json(found.as_json())
    else:
        _show(found)
    if found.stopped:
        complain("stopped as you asked; what was heard is kept: the same command goes on from here.")
        return 130
    return 1 if found.alarm else 0


def show_waiting(work: Session, cascade: Cascade, tracks: list[int], what: str, as_json: bool) -> int:
    """What there is to listen to, and how long that took the last time; exit code 0."""
    from music_reclass.classification.extract import missing_vectors
    from music_reclass.features.scans import Scans
    from music_reclass.report.summary import duration

    waiting = missing_vectors(work.database, cascade.stages, tracks)
    scans = Scans(work.database)
    costs = {name: scans.seconds_per_track(name) for name in waiting}
    if as_json:
        print_json({"tracks": len(tracks), "to_hear": waiting, "seconds_per_track": costs})
        return 0
    say("drawn", what)
    for name, count in waiting.items():
        each = costs[name]
        time = "" if each is None else f", about {duration(count * each)}"
        say("to hear", f"{count:,} tracks with {name}{time}")
    if not waiting:
        say("to hear", "nothing: every stage has heard them")
    return 0


def _show(found: ExitAudit) -> None:
    say("audit", f"{found.tracks:,} tracks, about {found.early:,} left the ladder early; {found.heard:,} of them heard")
    if found.heard < found.drawn:
        say("", f"{found.drawn - found.heard:,} more were drawn, and not every stage could hear them")
    for row in found.rows:
        share = f"{row.other / row.heard:.1%} [{row.low:.1%}, {row.high:.1%}]"
        how = "by its own vote" if row.how == "own" else "by its album"
        say(row.stage, f"{how}: {row.other:,} of {row.heard:,} get another genre from the whole ladder, {share}")
        if row.tagged:
            say(
                "",
                f"by your own tags, {row.tagged:,} of them: {row.lost:,} were right at the end only, "
                f"{row.won:,} when they left only",
            )
    for own in found.judgements:
        if own.alarm:
            plain(click.style(f"! {own.stage}: {own.sentence()}.", fg="red"))
        else:
            say(own.stage, own.sentence())
    if found.alarm:
        plain("exits that hold for this library: reclass calibrate --from-library (--label-free without tags)")


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
    from music_reclass.cli.library import open_library
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
    from music_reclass.classification import certify as calibrating
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.cli.session import cascade_for
    from music_reclass.utils.progress import progress_bar

    promise = calibrating.Guarantee(not words["label_free"], words["epsilon"], words["delta"])
    cascade = cascade_for(settings, work.taxonomy, {})
    sample = calibrating.draw(work.database, cascade, promise.labels, words["max_tracks"], words["seed"])
    if words["dry_run"]:
        tracks = list(sample.genres)
        return show_waiting(work, cascade, tracks, _drawn(sample, promise.labels), words["as_json"])
    if not words["as_json"]:
        say("drawn", _drawn(sample, promise.labels))
    listener = ExtractionRunner(work.database, settings)
    found = calibrating.certify_exits(
        work.database, cascade, sample, promise, listener, lambda: bool(work.stop), progress_bar
    )
    if found.stopped:
        complain("stopped as you asked; what was heard is kept: the same command goes on from here.")
        return 130
    calibrating.store_exits(work.database, found)
    _calibrate_show(found, words["as_json"])
    return 0


def _drawn(sample: Sample, labels: bool) -> str:
    which = "that carry a genre of their own" if labels else "that were listened to"
    known = f"; {sample.known:,} artists taught a model and are left out" if sample.known else ""
    count = f"{len(sample.genres):,} tracks, each of another artist"
    return f"{count}, of {sample.tracks:,} by {sample.artists:,} {which}{known}"


def _calibrate_show(found: CertifiedExits, as_json: bool) -> None:
    from music_reclass.models.early_exit import exit_as_manifest

    if not as_json and found.unheard:
        say("left out", f"{found.unheard:,} tracks that not every stage could hear")
    for digest, own in found.exits.items():
        missing = found.missing(digest)
        if as_json:
            print_json(
                {"stage": found.names[digest], "digest": digest, **exit_as_manifest(own), "more_artists": missing}
            )
            continue
        say(found.names[digest], own.sentence())
        if missing:
            say("", f"{missing:,} more artists would be the least, if nothing is lost among them")
    if not as_json:
        plain("every later scan of this library goes by it; back to the models' own: reclass calibrate --forget")


def _forget(work: Session, dry_run: bool, as_json: bool) -> int:
    from music_reclass.features.certificates import LibraryExits

    own = LibraryExits(work.database)
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

    from music_reclass.classification.certify import certificates_of
    from music_reclass.cli.session import cascade_for
    from music_reclass.report.summary import certificate_lines

    found = certificates_of(work.database, cascade_for(settings, work.taxonomy))
    if as_json:
        for own in found:
            print_json(asdict(own))
        return 0
    for label, text in certificate_lines(found):
        say(label, text)
    if not found:
        say("exits", "there is one stage only: nobody leaves it early")
    return 0
