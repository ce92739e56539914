"""`learn`: models learned from the genre tags of the library, used by every later scan of it, until forgotten."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import json_flag, setting_flags
from music_reclass.cli.output import complain, emit, plain, print_json, printable, say

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.metrics import Interval
    from music_reclass.training.learn import Lesson, Sample
    from music_reclass.training.tag_weights import TagWeights

_SHOWN = 8  # genres


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--sample",
    type=click.IntRange(200),
    default=3000,
    show_default=True,
    help="Learn from about this many tracks, spread over genres and artists.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="For the sample, the folds and the networks.")
@click.option("--forget", is_flag=True, help="Drop what was learned: the embedded models decide again.")
@click.option("-n", "--dry-run", "dry_run", is_flag=True, help="Say what there is to learn from; change nothing.")
@setting_flags("jobs", "max_time", "wait")
@json_flag
def learn(
    paths: tuple[Path, ...], sample: int, seed: int, *, forget: bool, dry_run: bool, as_json: bool, settings: Settings
) -> int:
    """Learn from the genre tags that you gave, below PATHS or in the whole library.

    What was learned is used only where it is right more often, beyond chance, on artists that it never saw. Files are
    read only for features that later stages lack.
    """
    from music_reclass.errors import UsageError

    if forget and paths:
        raise UsageError("--forget drops what the whole library has taught; it takes no PATH.")
    if forget:
        return _forget(settings, dry_run, as_json)
    below = _below([os.path.realpath(path) for path in paths])
    if dry_run:
        return _show_sample(settings, sample, below, seed=seed, as_json=as_json)
    return _learn(settings, sample, below, seed=seed, as_json=as_json)


def _below(folders: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path is one of `folders` or lies in one; every path where there are none."""
    return lambda path: not folders or any(path == one or path.startswith(one.rstrip("/") + "/") for one in folders)


def _learn(settings: Settings, most: int, below: Callable[[str], bool], *, seed: int, as_json: bool) -> int:
    from music_reclass.classification import learned
    from music_reclass.cli.session import untaught_bundles, usable, writing
    from music_reclass.training import learn as training
    from music_reclass.training.tag_weights import learn_tag_weights

    started = time.perf_counter()
    with writing(settings, "learn", must_exist=True) as work:
        bundles, absent = usable(untaught_bundles())
        drawn = training.draw(work.database, bundles[0].kinds[0], work.taxonomy, most=most, below=below, seed=seed)
        _extract(work, bundles, drawn)
        if work.stop:
            complain("Stopped as you asked; what was extracted is kept: the same command goes on from here.")
            return 130
        count, tracks = training.stages_at_hand(work.database, drawn.tracks, bundles)
        data = training.read_sample(work.database, tracks, bundles[:count], work.taxonomy)

        def log(text: str) -> None:
            if work.stop:
                raise KeyboardInterrupt
            complain(text)

        lesson = training.learn(data, bundles[:count], work.taxonomy, seed=seed, log=log)
        weights = None
        if lesson.comparison.information.low > 0:  # tags that the music does not show teach nothing
            weights = learn_tag_weights(work.database, lesson.judged, lesson.votes, work.taxonomy, seed=seed)
        found = _as_object(lesson, weights, drawn)
        found |= {
            "base": [bundle.digest for bundle in bundles[:count]],
            "seconds": round(time.perf_counter() - started, 1),
            "made": round(time.time()),
        }
        if found["learned"]:
            kept = lesson.bundles if lesson.comparison.is_better else ()
            prior = None if weights is None else weights.prior
            learned.store(settings.database, learned.Learned(kept, prior, found))
    left_out = {**absent, **{bundle.stage: "too few tracks have its features" for bundle in bundles[count:]}}
    if as_json:
        print_json({**found, "absent": {stage: str(why) for stage, why in left_out.items()}})
        return 0
    for stage, why in left_out.items():
        say("left out", printable(f"{stage}: {why}"))
    _show(lesson, weights, drawn, settings)
    return 0


def _extract(work: Session, bundles: Sequence[Bundle], drawn: Sample) -> None:
    """Store the vectors that the later stages need of the sample, within --max-time; how long it will take is said."""
    from music_reclass.errors import NothingToDo
    from music_reclass.training.extraction import Extraction, extract_tracks

    kinds = list(dict.fromkeys(kind for bundle in bundles for kind in bundle.kinds))
    extraction = Extraction.lasting(
        work.settings.max_seconds, work.settings, work.stop, log=lambda text: complain(printable(text))
    )
    with suppress(NothingToDo):  # stopped by the user, which is said at the end
        extract_tracks(work.database, drawn.tracks, kinds, extraction)


def _as_object(lesson: Lesson, weights: TagWeights | None, drawn: Sample) -> dict[str, Any]:
    better = lesson.comparison.is_better
    return {
        "learned": better or (weights is not None and weights.prior is not None),
        "tracks": lesson.rows,
        "artists": lesson.artists,
        "tagged": drawn.tagged,
        "left_out": lesson.left_out,
        "stages": [{"stage": bundle.stage, "digest": bundle.digest} for bundle in lesson.bundles] if better else [],
        "comparison": lesson.comparison.as_json(),
        "genres": list(lesson.genres) if better else [],
        "new": list(lesson.new) if better else [],
        "kept": list(lesson.kept) if better else [],
        "kept_better": list(lesson.lost) if better else [],
        "tags": None if weights is None else weights.as_json(),
        "notes": list(lesson.notes),
    }


def _show(lesson: Lesson, weights: TagWeights | None, drawn: Sample, settings: Settings) -> None:
    from music_reclass.report.text import counted

    figures = lesson.comparison
    tagged = (
        f"{counted(lesson.rows, 'track')} by {counted(lesson.artists, 'artist')}, of {drawn.tagged:,} with your tags"
    )
    wrong = f"{lesson.left_out:,} of these tags are probably wrong and left out" if lesson.left_out else "all tags hold"
    say("sample", f"{tagged}; {wrong}")
    say(
        "right",
        f"{figures.before.value:.1%} -> {figures.after.value:.1%} of the tracks of artists it never saw "
        f"({_points(figures.gain)})",
    )
    if figures.is_better:
        lost = f"; because that is right more often: {_listed(lesson.lost)}" if lesson.lost else ""
        kept = f"decided as before, for want of tracks: {_listed(lesson.kept)}{lost}"
        say("genres", f"new: {_listed(lesson.new)}; {kept}")
    else:
        say("genres", "no better beyond chance: the models decide as before")
    prior = None if weights is None else weights.prior
    if weights is not None and prior is not None:
        say(
            "tags",
            f"on an artist's other albums count {prior.artist:.0%} and on the rest of an album {prior.album:.0%} "
            f"({_points(weights.gain)})",
        )
    if not figures.is_better and prior is None:
        plain("Nothing changes.")
    elif settings.bundle is not None:
        named = printable(str(settings.bundle))
        plain(f"Scans go on using {named}, which the settings name; take `bundle` out of them to use what was learned.")
    else:
        plain("Every later scan uses it. Decide the library again: reclass relabel. Undo: reclass learn --forget")


def _points(gain: Interval) -> str:
    return f"{100 * gain.value:+.1f} points, 95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return printable(", ".join(names[:_SHOWN]) + rest) or "none"


def _show_sample(settings: Settings, most: int, below: Callable[[str], bool], *, seed: int, as_json: bool) -> int:
    from music_reclass.classification.extract import missing_vectors
    from music_reclass.classification.voter import Stage
    from music_reclass.cli.session import reading, untaught_bundles, usable
    from music_reclass.report.text import counted
    from music_reclass.taxonomy import load
    from music_reclass.training.learn import draw

    taxonomy = load(settings.taxonomy)
    with reading(settings) as library:
        bundles, _ = usable(untaught_bundles())
        drawn = draw(library, bundles[0].kinds[0], taxonomy, most=most, below=below, seed=seed)
        stages = [Stage.from_bundle(bundle, taxonomy) for bundle in bundles]
        missing = missing_vectors(library, stages, drawn.tracks)
    if as_json:
        shown = {"dry_run": True, "tagged": drawn.tagged, "tracks": len(drawn.tracks), "artists": drawn.artists}
        print_json({**shown, "genres": dict(drawn.genres), "to_extract": missing})
        return 0
    say(
        "sample",
        f"{counted(len(drawn.tracks), 'track')} by {counted(drawn.artists, 'artist')}, of {drawn.tagged:,} tagged ones",
    )
    say(
        "genres",
        _listed([f"{name} {count:,}" for name, count in sorted(drawn.genres.items(), key=lambda one: -one[1])]),
    )
    for kind, count in missing.items():
        say("to do", f"{counted(count, 'track')} to extract {kind} of")
    return 0


def _forget(settings: Settings, dry_run: bool, as_json: bool) -> int:
    from music_reclass.classification import learned
    from music_reclass.cli.session import reading, writing

    if dry_run:
        with reading(settings):
            there = learned.is_stored(settings.database)
    else:
        with writing(settings, "learn", must_exist=True):
            there = learned.forget(settings.database)
    text = "nothing was learned from this library"
    if there:
        text = "what was learned would be (dry run)" if dry_run else "the embedded models decide again: reclass relabel"
    emit({"forgotten": there and not dry_run, "would_forget": there}, text, as_json, "forgotten")
    return 0
