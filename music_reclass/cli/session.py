"""What every command that may write sets up: the lease, the database, the journal made whole, an orderly stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from music_reclass.classification.voter import Ladder
    from music_reclass.config import Settings
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.training.bundles import Bundle
    from music_reclass.utils.interrupt import StopRequest


@dataclass(frozen=True, slots=True)
class Session:
    """One writing command at work."""

    settings: Settings
    database: Database
    journal: Journal
    taxonomy: Taxonomy
    stop: StopRequest


@contextmanager
def session(settings: Settings, command: str) -> Iterator[Session]:
    """Hold the library for one writing command; what an earlier run left half done is settled first."""
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.features.lease import writing_lease
    from music_reclass.taxonomy import load
    from music_reclass.utils.interrupt import orderly_stop

    taxonomy = load(settings.taxonomy)
    with writing_lease(settings.database, command), orderly_stop() as stop:
        database = Database(settings.database)
        journal = Journal(Database(settings.database, durable=True))
        try:
            _settle(journal, database)
            yield Session(settings, database, journal, taxonomy, stop)
        finally:
            journal.database.close()
            database.close()


def _settle(journal: Journal, database: Database) -> None:
    """Bring an interrupted run to an end, in the journal and in the library, before anything else is done."""
    from music_reclass.cli.output import complain, printable
    from music_reclass.errors import TrackError
    from music_reclass.features.store import Library
    from music_reclass.tagging.apply import note_file
    from music_reclass.tagging.recovery import recover

    report = recover(journal)
    for path in report.confirmed:
        with suppress(TrackError, OSError):  # moved or unreadable by now: the next scan looks at it
            note_file(Library(database), path)
    for path, why in report.unsettled:
        complain(f"{printable(path)}: an interrupted change is still open: {why}")


def ladder_for(settings: Settings, taxonomy: Taxonomy) -> Ladder:
    """The stages that may vote, cheapest first. UsageError for an unknown one, MissingWeights for one asked for by
    name that is not installed."""
    from music_reclass.classification.voter import Ladder
    from music_reclass.training import bundles

    first = bundles.embedded() if settings.bundle is None else bundles.load(settings.bundle)
    second = _second_stage(settings.stages)
    found = [first] if second is None else [first, second]
    return Ladder.from_bundles(found, taxonomy, settings.max_genres, settings.album)


def _second_stage(stages: str) -> Bundle | None:
    from music_reclass.errors import BundleError, UsageError
    from music_reclass.extractors.registry import extractor
    from music_reclass.extractors.weights.store import MissingWeights
    from music_reclass.training import musicnn_ensemble

    words = {"1": "fma518", "2": "musicnn"}
    names = [words.get(word.strip(), word.strip()) for word in stages.split(",")]
    if stages != "auto" and (names[0] != "fma518" or names[1:] not in ([], ["musicnn"])):
        raise UsageError(f"there are no stages {stages!r}; say 1 (the first alone), 1,musicnn or auto.")
    if names == ["fma518"]:
        return None
    bundle = musicnn_ensemble.embedded()
    try:
        kind = extractor("musicnn", "mid30").kind
    except MissingWeights:
        if stages == "auto":
            return None
        raise
    if kind not in bundle.kinds:
        if stages == "auto":
            return None
        raise BundleError(
            "other weights of MusiCNN are installed than the second stage was trained on; install the published ones "
            "(reclass models install musicnn FILE), or scan with --stages 1."
        )
    return bundle
