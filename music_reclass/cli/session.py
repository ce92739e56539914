"""What every command that may write sets up: the lease, the database, the journal made whole, an orderly stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from music_reclass.classification.voter import Cascade
    from music_reclass.config import Settings
    from music_reclass.errors import ReclassError
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.early_exit import ExitRule
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.utils.progress import StopRequest


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
    from music_reclass.features.database import Database, writing_lease
    from music_reclass.features.journal import Journal
    from music_reclass.taxonomy import load
    from music_reclass.utils.progress import orderly_stop

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
    from music_reclass.features.library import Library
    from music_reclass.tagging.apply import note_file
    from music_reclass.tagging.undo import recover

    report = recover(journal)
    for path in report.confirmed:
        with suppress(TrackError, OSError):  # moved or unreadable by now: the next scan looks at it
            note_file(Library(database), path)
    for path, why in report.unsettled:
        complain(f"{printable(path)}: an interrupted change is still open: {why}")


def cascade_for(settings: Settings, taxonomy: Taxonomy, own: Mapping[str, Sequence[ExitRule]] | None = None) -> Cascade:
    """The stages that may vote, cheapest first. UsageError for an unknown one, MissingWeights or MissingExtra for one
    asked for by name that cannot run; `Ladder.absent` says which others were left out, and why.

    `own` are exits certified on the user's own library, by the digest of the stage's bundle; None: those it keeps.
    """
    from music_reclass.classification.voter import Cascade

    at_hand = bundles_at_hand(settings.bundle)
    wanted = _named(settings.stages, [bundle.stage for bundle in at_hand])
    chosen, absent = [], {}
    for bundle in at_hand:
        if wanted is not None and bundle.stage not in wanted:
            continue
        obstacle = None if bundle is at_hand[0] else _obstacle(bundle)
        if obstacle is None:
            chosen.append(bundle)
        elif wanted is not None:
            raise obstacle
        else:
            absent[bundle.stage] = str(obstacle)
    if own is None:
        own = library_exits(settings, [bundle.digest for bundle in chosen])
    return Cascade.from_bundles(
        chosen,
        taxonomy,
        max_genres=settings.max_genres,
        by_album=settings.album,
        library_exits=own,
        absent=absent,
    )


def library_exits(settings: Settings, digests: Sequence[str]) -> dict[str, tuple[ExitRule, ...]]:
    """The exits that the user's own library has certified, by the digest of the stage's bundle; {} without any."""
    from music_reclass.classification import certify as calibrating
    from music_reclass.features.database import Database

    if not settings.database.exists():
        return {}
    database = Database(settings.database)
    try:
        return calibrating.library_exits(database, digests)
    finally:
        database.close()


def bundles_at_hand(folder: Path | None) -> list[Bundle]:
    """The bundles to climb: the embedded ones; or the ladder in `folder`, or its single bundle in the place of the
    embedded one of its stage, else after the first."""
    from music_reclass.models import bundle as bundles
    from music_reclass.models import bundle as ladders
    from music_reclass.models import bundle as musicnn_ensemble

    first, second = bundles.embedded(), musicnn_ensemble.embedded_second_stage()
    if folder is None:
        return [first, second]
    own = list(ladders.load_cascade(folder))
    if len(own) > 1:
        return own
    return [own[0], second] if own[0].stage == first.stage else [first, own[0]]


def _named(words: str, known: list[str]) -> set[str] | None:
    """The stages named by `words`: numbers or names, the first always among them; None for `auto`."""
    from music_reclass.errors import UsageError

    if words == "auto":
        return None
    names = [word.strip() for word in words.split(",")]
    names = [known[int(name) - 1] if name.isdecimal() and 0 < int(name) <= len(known) else name for name in names]
    if names[:1] != known[:1] or len(set(names)) != len(names) or not set(names) <= set(known):
        raise UsageError(
            f"there are no stages {words!r}; say 1 (the first alone), {','.join(['1', *known[1:]])} or auto."
        )
    return set(names)


def _obstacle(bundle: Bundle) -> ReclassError | None:
    """Why the later stage of `bundle` cannot listen here; None if it can."""
    from music_reclass.errors import BundleError, MissingExtra
    from music_reclass.extractors.registry import EXTRACTORS, extractor
    from music_reclass.extractors.weights.store import MissingWeights

    for kind in bundle.kinds:
        if kind.name not in EXTRACTORS:
            return BundleError(
                f"the stage {bundle.stage} needs vectors of the kind {kind.name}, which is unknown here."
            )
        try:
            here = extractor(kind.name, kind.excerpt).kind
        except (MissingWeights, MissingExtra) as error:
            return error
        if here != kind:
            return BundleError(
                f"the stage {bundle.stage} was trained on {kind.key}, and what is installed gives {here.key}; install "
                f"the weights it was trained with (reclass models install {kind.name} FILE), or scan with --stages 1."
            )
    return None
