"""`calibrate` and `audit-exits`: exit rules certified and audited on the user's library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import json_flag, setting_flags
from music_reclass.cli.output import complain, emit, plain, print_json, say

if TYPE_CHECKING:
    from music_reclass.classification.certify import CertifiedExits, Guarantee, Sample
    from music_reclass.classification.exit_audit import ExitAudit
    from music_reclass.classification.voter import Cascade
    from music_reclass.config import Settings
    from music_reclass.features.database import Database


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
@click.option("-n", "--dry-run", "dry_run", is_flag=True, help="Draw, and say how much there is to do; change nothing.")
@setting_flags("stages", "bundle")
@json_flag
def audit_exits(
    share: float, max_tracks: int | None, seed: int, dry_run: bool, as_json: bool, settings: Settings
) -> int:
    """Run the whole cascade on a random part of the tracks that exited early, and say what exiting early has cost.

    The exit code is 1 where more is lost than the exit rules guarantee. The features are kept; no tag is written and
    no decision changed.
    """
    from music_reclass.classification import exit_audit
    from music_reclass.cli.session import cascade_for, reading, writing
    from music_reclass.features.certificates import ExitAudits
    from music_reclass.taxonomy import load
    from music_reclass.utils.progress import progress_bar

    if dry_run:
        with reading(settings) as library:
            cascade = cascade_for(settings, load(settings.taxonomy), library)
            drawn = exit_audit.draw(library, cascade, share, max_tracks, seed)
            tracks = [leaver.track for leaver in drawn.leavers]
            text = f"{len(tracks):,} of {drawn.early:,.0f} early exits"
            return _show_missing(library, cascade, tracks, text, as_json)
    with writing(settings, "audit-exits", must_exist=True) as work:
        from music_reclass.classification.extract import ExtractionRunner

        cascade = cascade_for(settings, work.taxonomy, work.database)
        drawn = exit_audit.draw(work.database, cascade, share, max_tracks, seed)
        runner = ExtractionRunner(work.database, settings)
        found = exit_audit.audited(work.database, cascade, drawn, runner, lambda: bool(work.stop), progress_bar)
        if not work.stop:
            ExitAudits(work.database).save(found.as_json())
    if as_json:
        print_json(found.as_json())
    else:
        _show(found)
    if found.stopped:
        complain("Stopped as you asked; what was extracted is kept: the same command goes on from here.")
        return 130
    return 1 if found.alarm else 0


def _show_missing(database: Database, cascade: Cascade, tracks: list[int], drawn: str, as_json: bool) -> int:
    """What is still to be extracted, and how long that took the last time; exit code 0."""
    from music_reclass.classification.extract import missing_vectors
    from music_reclass.features.scans import Scans
    from music_reclass.report.summary import duration

    missing = missing_vectors(database, cascade.stages, tracks)
    scans = Scans(database)
    costs = {name: scans.seconds_per_track(name) for name in missing}
    if as_json:
        print_json({"tracks": len(tracks), "to_hear": missing, "seconds_per_track": costs})
        return 0
    say("drawn", drawn)
    for name, count in missing.items():
        each = costs[name]
        time = "" if each is None else f", about {duration(count * each)}"
        say("to do", f"{count:,} tracks with {name}{time}")
    if not missing:
        say("to do", "nothing: every stage has its features of them")
    return 0


def _show(found: ExitAudit) -> None:
    say("audit", f"{found.tracks:,} tracks, about {found.early:,} exited early; {found.heard:,} of them audited")
    if found.heard < found.drawn:
        say("", f"{found.drawn - found.heard:,} more were drawn, and not every stage could read them")
    for row in found.rows:
        share = f"{row.other / row.heard:.1%} [{row.low:.1%}, {row.high:.1%}]"
        how = "by its vote" if row.how == "own" else "by its album"
        say(row.stage, f"{how}: {row.other:,} of {row.heard:,} get another genre from the whole cascade, {share}")
        if row.tagged:
            say(
                "",
                f"by the tags you gave, {row.tagged:,} of them: {row.lost:,} were right at the end only, "
                f"{row.won:,} when they exited only",
            )
    for judgement in found.judgements:
        if judgement.alarm:
            plain(click.style(f"! {judgement.stage}: {judgement.sentence()}.", fg="red"))
        else:
            say(judgement.stage, judgement.sentence())
    if found.alarm:
        plain("Exit rules that hold for this library: reclass calibrate --from-library (--label-free without tags).")


@click.command()
@click.option("--from-library", is_flag=True, help="Certify the exits on this library, for every later scan of it.")
@click.option(
    "--label-free",
    is_flag=True,
    help="Guarantee agreement with the whole cascade instead of right genres; needs no tags.",
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
    help="How likely the guarantee may fail; the exits share it.",
)
@click.option(
    "--max-tracks", type=click.IntRange(1), default=1000, show_default=True, help="Calibrate on at most this many."
)
@click.option("--seed", type=int, default=0, show_default=True, help="For the draw of one track an artist.")
@click.option("--forget", is_flag=True, help="Drop the exits certified here; those of the bundles hold again.")
@click.option("-n", "--dry-run", "dry_run", is_flag=True, help="Say how much there is to do; change nothing.")
@setting_flags("stages", "bundle")
@json_flag
def calibrate(
    from_library: bool, forget: bool, dry_run: bool, as_json: bool, settings: Settings, label_free: bool,
    epsilon: float, delta: float, max_tracks: int, seed: int,
) -> int:  # fmt: skip
    """From which confidence on a track may exit the cascade early, certified on your library.

    Without --from-library or --forget: the exit rules that hold now.
    """
    from music_reclass.errors import UsageError

    if from_library and forget:
        raise UsageError("Say --from-library or --forget, not both.")
    if label_free and not from_library:
        raise UsageError("--label-free goes with --from-library.")
    if forget:
        return _forget(settings, dry_run, as_json)
    if not from_library:
        return _show_certificates(settings, as_json)
    from music_reclass.classification.certify import Guarantee

    guarantee = Guarantee(not label_free, epsilon, delta)
    work = _show_calibration_set if dry_run else _calibrate
    return work(settings, guarantee, max_tracks=max_tracks, seed=seed, as_json=as_json)


def _show_calibration_set(
    settings: Settings, guarantee: Guarantee, *, max_tracks: int, seed: int, as_json: bool
) -> int:
    from music_reclass.classification.certify import draw
    from music_reclass.cli.session import cascade_for, reading
    from music_reclass.taxonomy import load

    with reading(settings) as library:
        cascade = cascade_for(settings, load(settings.taxonomy), None)
        sample = draw(library, cascade, guarantee.labels, max_tracks, seed)
        text = _drawn(sample, guarantee.labels)
        return _show_missing(library, cascade, list(sample.genres), text, as_json)


def _calibrate(settings: Settings, guarantee: Guarantee, *, max_tracks: int, seed: int, as_json: bool) -> int:
    from music_reclass.classification import certify
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.cli.session import cascade_for, writing
    from music_reclass.utils.progress import progress_bar

    with writing(settings, "calibrate", must_exist=True) as work:
        cascade = cascade_for(settings, work.taxonomy, None)
        sample = certify.draw(work.database, cascade, guarantee.labels, max_tracks, seed)
        if not as_json:
            say("drawn", _drawn(sample, guarantee.labels))
        runner = ExtractionRunner(work.database, settings)
        found = certify.certify_exits(
            work.database, cascade, sample, guarantee, runner, lambda: bool(work.stop), progress_bar
        )
        if found.stopped:
            complain("Stopped as you asked; what was extracted is kept: the same command goes on from here.")
            return 130
        certify.store_exits(work.database, found)
    _show_certified(found, as_json)
    return 0


def _drawn(sample: Sample, labels: bool) -> str:
    which = "that carry a genre you gave" if labels else "that were extracted"
    known = f"; {sample.known:,} artists taught a model and are left out" if sample.known else ""
    count = f"{len(sample.genres):,} tracks, each of another artist"
    return f"{count}, of {sample.tracks:,} by {sample.artists:,} {which}{known}"


def _show_certified(found: CertifiedExits, as_json: bool) -> None:
    from music_reclass.models.early_exit import exit_as_manifest

    if not as_json and found.unheard:
        say("left out", f"{found.unheard:,} tracks that not every stage could read")
    for digest, exit_rule in found.exits.items():
        missing, name = found.missing(digest), found.names[digest]
        shown = {"stage": name, "digest": digest, **exit_as_manifest(exit_rule), "more_artists": missing}
        emit(shown, exit_rule.sentence(), as_json, name)
        if missing and not as_json:
            say("", f"{missing:,} more artists would be the least, if nothing is lost among them")
    if not as_json:
        plain("Every later scan of this library goes by it; back to the models' rules: reclass calibrate --forget")


def _forget(settings: Settings, dry_run: bool, as_json: bool) -> int:
    from music_reclass.cli.session import reading, writing
    from music_reclass.features.certificates import LibraryExits

    if dry_run:
        with reading(settings) as library:
            count = len(LibraryExits(library).dates())
    else:
        with writing(settings, "calibrate", must_exist=True) as work:
            count = LibraryExits(work.database).forget()
    text = f"{count:,} certificate{'' if count == 1 else 's'}" + (" would be (dry run)" if dry_run else "")
    emit({"forgotten": 0 if dry_run else count, "would_forget": count}, text, as_json, "forgotten")
    return 0


def _show_certificates(settings: Settings, as_json: bool) -> int:
    from dataclasses import asdict

    from music_reclass.classification.certify import certificates_of
    from music_reclass.cli.session import cascade_for, reading
    from music_reclass.report.summary import certificate_lines
    from music_reclass.taxonomy import load

    with reading(settings) as library:
        found = certificates_of(library, cascade_for(settings, load(settings.taxonomy), library))
    if as_json:
        for certificate in found:
            print_json(asdict(certificate))
        return 0
    for label, text in certificate_lines(found):
        say(label, text)
    if not found:
        say("exits", "there is one stage only: no track exits it early")
    return 0
