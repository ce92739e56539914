"""`calibrate` and `audit-exits`: exit rules certified and audited on the user's library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import json_flag, setting_flags
from music_reclass.cli.output import complain, emit, plain, print_json, say, styled
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from music_reclass.classification.certify import CalibrationSample
    from music_reclass.classification.exit_audit import ExitAudit
    from music_reclass.classification.voter import Cascade
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.features.database import Database
    from music_reclass.models.early_exit import ExitRule, RiskTarget
    from music_reclass.models.precision import Certificate


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
@setting_flags("stages", "bundle", "exit_policy", "effort", "wait")
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
    from music_reclass.features.results import ExitAudits
    from music_reclass.taxonomy import load

    if dry_run:
        with reading(settings) as library:
            cascade = cascade_for(settings, load(settings.taxonomy), library)
            drawn = exit_audit.draw(library, cascade, share=share, most=max_tracks, seed=seed)
            text = f"{len(drawn.exits):,} of {drawn.early:,.0f} early exits"
            return _show_missing(library, cascade, list(drawn.exits), drawn=text, as_json=as_json)
    with writing(settings, "audit-exits", must_exist=True) as work:
        from music_reclass.classification.extract import ExtractionRunner
        from music_reclass.classification.reading import LocalBackend

        cascade = cascade_for(settings, work.taxonomy, work.database)
        drawn = exit_audit.draw(work.database, cascade, share=share, most=max_tracks, seed=seed)
        runner = ExtractionRunner(work.database, LocalBackend(settings))
        found = exit_audit.audit(work.database, cascade, drawn, runner, stop=lambda: bool(work.stop))
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


def _show_missing(database: Database, cascade: Cascade, tracks: list[int], *, drawn: str, as_json: bool) -> int:
    """What is still to be extracted, and how long that took the last time; exit code 0."""
    from music_reclass.classification.extract import missing_vectors
    from music_reclass.features.results import Scans
    from music_reclass.report.text import duration

    missing = missing_vectors(database, cascade.stages, tracks)
    scans = Scans(database)
    costs = {name: scans.seconds_per_track(name) for name in missing}
    if as_json:
        # "to_hear": the word in --json
        print_json({"tracks": len(tracks), "to_hear": missing, "seconds_per_track": costs})
        return 0
    say("drawn", drawn)
    for name, count in missing.items():
        each = costs[name]
        time = "" if each is None else f", about {duration(count * each)}"
        say("to do", f"{counted(count, 'track')} with {name}{time}")
    if not missing:
        say("to do", "nothing: every stage has its features of them")
    return 0


def _show(found: ExitAudit) -> None:
    sample = found.sample
    say(
        "audit",
        f"{counted(sample.tracks, 'track')}, about {sample.early:,.0f} exited early; {found.audited:,} of them audited",
    )
    if found.audited < len(sample.exits):
        say("", f"{len(sample.exits) - found.audited:,} more were drawn, and not every stage could read them")
    for group in found.groups:
        share = f"{group.different / group.audited:.1%} [{group.low:.1%}, {group.high:.1%}]"
        how = "by its album" if group.by_album else "by its vote"
        different = f"{group.different:,} of {group.audited:,} get another genre from the whole cascade"
        say(group.stage, f"{how}: {different}, {share}")
        if group.tagged:
            say(
                "",
                f"by the tags you gave, {group.tagged:,} of them: {group.lost:,} were right at the end only, "
                f"{group.won:,} when they exited only",
            )
    for check in found.checks:
        if check.alarm:
            plain(styled(f"! {check.stage}: {check.sentence()}.", "red"))
        else:
            say(check.stage, check.sentence())
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
@setting_flags("stages", "bundle", "wait")
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
    from music_reclass.models.early_exit import RiskTarget

    target = RiskTarget(epsilon, delta, labels=not label_free)
    work = _show_calibration_set if dry_run else _calibrate
    return work(settings, target, max_tracks=max_tracks, seed=seed, as_json=as_json)


def _show_calibration_set(settings: Settings, target: RiskTarget, *, max_tracks: int, seed: int, as_json: bool) -> int:
    from music_reclass.classification.certify import draw
    from music_reclass.cli.session import cascade_for, reading
    from music_reclass.taxonomy import load

    with reading(settings) as library:
        cascade = cascade_for(settings, load(settings.taxonomy), None)
        sample = draw(library, cascade, by_tags=target.labels, most=max_tracks, seed=seed)
        text = _drawn(sample, target.labels)
        return _show_missing(library, cascade, list(sample.genres), drawn=text, as_json=as_json)


def _calibrate(settings: Settings, target: RiskTarget, *, max_tracks: int, seed: int, as_json: bool) -> int:
    from music_reclass.classification import certify
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.classification.reading import LocalBackend
    from music_reclass.cli.session import cascade_for, writing

    with writing(settings, "calibrate", must_exist=True) as work:
        cascade = cascade_for(settings, work.taxonomy, None)
        sample = certify.draw(work.database, cascade, by_tags=target.labels, most=max_tracks, seed=seed)
        if not as_json:
            say("drawn", _drawn(sample, target.labels))
        runner = ExtractionRunner(work.database, LocalBackend(settings))
        stop = work.stop
        rules = certify.certify_exits(work.database, cascade, sample, runner, target=target, stop=lambda: bool(stop))
        if stop:
            complain("Stopped as you asked; what was extracted is kept: the same command goes on from here.")
            return 130
        certify.store_exits(work.database, rules)
        thresholds = certify.certify_thresholds(work.database, cascade, sample) if target.labels else {}
        certify.store_thresholds(work.database, thresholds)
        styles = _calibrate_styles(work) if target.labels else {}
    _show_thresholds(cascade, thresholds, as_json)
    _show_styles(styles, as_json)
    _show_certified(cascade, rules, len(sample.genres), as_json)
    return 0


def _drawn(sample: CalibrationSample, labels: bool) -> str:
    which = "that carry a genre you gave" if labels else "that were extracted"
    known = f"; {counted(sample.known, 'artist')} that taught a model left out" if sample.known else ""
    count = f"{counted(len(sample.genres), 'track')}, each of another artist"
    return f"{count}, of {sample.tracks:,} by {sample.artists:,} {which}{known}"


def _show_certified(cascade: Cascade, rules: Mapping[str, ExitRule], drawn: int, as_json: bool) -> None:
    from music_reclass.classification.certify import more_artists
    from music_reclass.models.early_exit import exit_as_manifest

    left_out = drawn - max(rule.count for rule in rules.values())
    if not as_json and left_out:
        say("left out", f"{counted(left_out, 'track')} that not every stage could read")
    for stage in cascade.stages[:-1]:
        rule = rules[stage.digest]
        missing = more_artists(rule)
        shown = {"stage": stage.name, "digest": stage.digest, **exit_as_manifest(rule), "more_artists": missing}
        emit(shown, rule.sentence(), as_json, stage.name)
        if missing and not as_json:
            say("", f"{counted(missing, 'more artist')} would be the least, if nothing is lost among them")
    if not as_json:
        plain("Every later scan of this library goes by it; back to the models' rules: reclass calibrate --forget")


def _show_thresholds(cascade: Cascade, thresholds: Mapping[str, Mapping[str, Certificate]], as_json: bool) -> None:
    """What was certified of the thresholds of stages that nobody trained."""
    for stage in cascade.stages:
        for word, found in thresholds.get(stage.digest, {}).items():
            shown = {"stage": stage.name, "digest": stage.digest, "outcome": word, "threshold": found.threshold}
            emit({**shown, **found.as_manifest()}, f"{word} {found.sentence()}", as_json, stage.name)


def _calibrate_styles(work: Session) -> dict[str, Any]:
    """Calibrate and store the styles below the decided genres, by the fine genres that the user gave."""
    from music_reclass.classification.styles import calibrate_styles
    from music_reclass.features.results import LibraryCalibrations

    found = calibrate_styles(work.database, work.taxonomy)
    LibraryCalibrations(work.database).save({LibraryCalibrations.STYLES: found})
    return found


def _show_styles(found: Mapping[str, Any], as_json: bool) -> None:
    """Each tag that names a style which tags of the library name too, the certified ones first."""
    tags = sorted(found.get("tags", {}).items(), key=lambda item: (item[1]["threshold"] is None, -item[1]["artists"]))
    for key, one in tags:
        kind, _, tag = key.partition(" ")
        text = f"{one['style']} by {tag} ({kind.partition('/')[0]}): {one['why']}"
        if one["threshold"] is not None:
            text = (
                f"{one['style']} by {tag} ({kind.partition('/')[0]}) from {one['threshold']:.2f}: at least "
                f"{one['precision']:.0%} right ({one['right']} of {one['count']} artists)"
            )
        emit({"tag": tag, "kind": kind, **one}, text, as_json, "style")


def _forget(settings: Settings, dry_run: bool, as_json: bool) -> int:
    from music_reclass.cli.session import reading, writing
    from music_reclass.features.results import LibraryCalibrations, LibraryExits

    if dry_run:
        with reading(settings) as library:
            count = len(LibraryExits(library).dates()) + LibraryCalibrations(library).count()
    else:
        with writing(settings, "calibrate", must_exist=True) as work:
            count = LibraryExits(work.database).forget() + LibraryCalibrations(work.database).forget()
    text = counted(count, "certificate") + (" would be (dry run)" if dry_run else "")
    emit({"forgotten": 0 if dry_run else count, "would_forget": count}, text, as_json, "forgotten")
    return 0


def _show_certificates(settings: Settings, as_json: bool) -> int:
    from dataclasses import replace

    from music_reclass.classification.certify import certificates_of
    from music_reclass.cli.session import cascade_for, reading
    from music_reclass.report.text import certificate_lines
    from music_reclass.taxonomy import load

    with reading(settings) as library:
        settings = replace(settings, exit_policy="certified")
        found = certificates_of(library, cascade_for(settings, load(settings.taxonomy), library))
    if as_json:
        for certificate in found:
            print_json(certificate.as_json())
        return 0
    for label, text in certificate_lines(found):
        say(label, text)
    if not found:
        say("exits", "there is one stage only: no track exits it early")
    return 0
