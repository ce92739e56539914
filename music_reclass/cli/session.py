"""The frame of every command: `writing` holds lease, database, journal and an orderly stop; `reading` only looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.config import Settings
    from music_reclass.errors import ReclassError
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.early_exit import ExitRule
    from music_reclass.models.exit_policy import ExitPolicy
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.training.open import DatasetRequest
    from music_reclass.utils.progress import StopRequest

_MEASURED = 100  # tracks for which a stage's vectors were extracted, from which the seconds they took count


_Why = TypeVar("_Why")  # an error, or a sentence


@dataclass(frozen=True, slots=True)
class Session:
    """One writing command at work."""

    settings: Settings
    database: Database
    journal: Journal
    taxonomy: Taxonomy
    stop: StopRequest
    written: dict[int, list[str]] = field(default_factory=dict)  # files whose tags were changed, by run


@contextmanager
def writing(settings: Settings, command: str, *, must_exist: bool = False) -> Iterator[Session]:
    """Hold the library for one writing command; what an earlier run left half done is settled first.

    When the library is free again, the command of the setting after_write runs if files were written; ReclassError
    where it fails. NothingToDo where there `must_exist` a library and is none.
    """
    from music_reclass.errors import ReclassError

    session: Session | None = None
    error: ReclassError | None = None
    try:
        with _holding(settings, command, must_exist=must_exist) as session:
            yield session
    except ReclassError as raised:
        error = raised
    if session is not None and settings.after_write and any(session.written.values()):
        from music_reclass.cli.output import complain, printable
        from music_reclass.cli.writing import run_after_write

        problem = run_after_write(settings.after_write.reveal(), command, session.written)
        if problem and error is None and not session.stop:
            raise ReclassError(problem)
        if problem:
            complain(printable(problem))
    if error is not None:
        raise error


@contextmanager
def lease(settings: Settings, command: str) -> Iterator[None]:
    """Hold the lease of the library for the block; while another command has it, wait as long as the settings say. On
    a terminal it says for whom."""
    from music_reclass.cli.output import complain, printable
    from music_reclass.features.database import writing_lease

    def log(text: str) -> None:
        if _is_on_terminal():
            complain(printable(text))

    with writing_lease(settings.database, command, settings.wait, log):
        yield


def _is_on_terminal() -> bool:
    """Whether stderr is a terminal."""
    import sys

    return sys.stderr.isatty()


@contextmanager
def _holding(settings: Settings, command: str, *, must_exist: bool) -> Iterator[Session]:
    """Lease, database and journal while the block runs."""
    from music_reclass.features.database import Database, explaining_damage
    from music_reclass.features.journal import Journal
    from music_reclass.taxonomy import load
    from music_reclass.utils.progress import orderly_stop

    if must_exist:
        require_library(settings)
    taxonomy = load(settings.taxonomy)
    with lease(settings, command), orderly_stop() as stop:
        database = Database(settings.database)
        journal = Journal(Database(settings.database, durable=True))
        try:
            with explaining_damage(database):
                database.fold_log()
                _back_up(database)
                _settle(journal, database)
                yield Session(settings, database, journal, taxonomy, stop)
        finally:
            journal.database.close()
            database.close()


@contextmanager
def reading(settings: Settings) -> Iterator[Database]:
    """The library for a command that only looks, beside a scan if need be: no lease, no recovery, closed at the end.

    NothingToDo where there is none. An older schema is migrated, as questions are asked of the newest only; where
    another command is at work just then, DatabaseError says so at once.
    """
    from music_reclass.errors import DatabaseError
    from music_reclass.features.database import Database, explaining_damage, lease_holder, writing_lease

    require_library(settings)
    database = Database(settings.database, migrate=False)
    if not database.is_newest:
        database.close()
        if holder := lease_holder(settings.database):
            raise DatabaseError(
                f"The library database {settings.database} needs a newer schema, and {holder} is using it; try again "
                "when that has ended."
            )
        with writing_lease(settings.database, "migration"):
            database = Database(settings.database)
    try:
        with explaining_damage(database):
            yield database
    finally:
        database.close()


def require_library(settings: Settings) -> None:
    """NothingToDo where there is no library yet."""
    from music_reclass.errors import NothingToDo

    if not settings.database.exists():
        raise NothingToDo(
            f"There is no library at {settings.database} yet: scan a folder first (reclass scan ~/Music)."
        )


def _back_up(database: Database) -> None:
    """Once a day, before anything is written; where there is no room for it the run goes on without, and says so."""
    from music_reclass.errors import DatabaseError
    from music_reclass.features.backups import back_up, is_due, prune
    from music_reclass.features.library import Library

    if not isinstance(database.path, Path) or not is_due(database.path) or not Library(database).totals()["tracks"]:
        return
    try:
        back_up(database)
    except DatabaseError as error:
        if "damaged" in str(error):
            raise
        from music_reclass.cli.output import complain, printable

        complain(printable(str(error)))
        return
    prune(database.path)


def _settle(journal: Journal, database: Database) -> None:
    """Bring an interrupted run to an end, in the journal and in the library, before anything else is done."""
    if next(iter(journal.open_changes()), None) is None:
        return
    from music_reclass.cli.output import complain, printable
    from music_reclass.errors import TrackError
    from music_reclass.features.library import Library
    from music_reclass.tagging.apply import note_file
    from music_reclass.tagging.undo import CONFIRMED, UNSETTLED, recover

    for result in recover(journal):
        if result.outcome == CONFIRMED:
            with suppress(TrackError, OSError):  # moved or unreadable by now: the next scan looks at it
                note_file(Library(database), result.path)
        elif result.outcome == UNSETTLED:
            complain(f"{printable(result.path)}: an interrupted change is still open: {result.detail}")


def cascade_for(settings: Settings, taxonomy: Taxonomy, database: Database | None) -> Cascade:
    """The stages that may vote, cheapest first. UsageError for an unknown one, MissingWeights or MissingExtra for one
    asked for by name that cannot run; `Cascade.absent` says which others were left out, and why.

    Exit rules, and thresholds of stages without training, certified on the library in `database` come before those of
    the bundles.
    """
    from music_reclass.classification.voter import Cascade
    from music_reclass.extractors.registry import TAG_HEADS

    chosen, obstacles = usable(bundles_of_scan(settings), by_name=settings.stages != "auto")
    if obstacles and settings.stages != "auto":
        raise next(iter(obstacles.values()))
    absent = {stage: str(obstacle) for stage, obstacle in obstacles.items()}
    certified = {} if database is None else library_exits(database, [bundle.digest for bundle in chosen])
    if database is not None and any(bundle.stage in TAG_HEADS for bundle in chosen):
        from music_reclass.classification.certify import with_library_thresholds

        chosen = [with_library_thresholds(bundle, database) for bundle in chosen]
    cascade = Cascade.from_bundles(
        chosen,
        taxonomy,
        max_genres=settings.max_genres,
        by_album=settings.album,
        library_exits=certified,
        absent=absent,
        windows=settings.windows,
        policy=exit_policy(settings, database),
        content=content_bundles(settings),
        speech_genre="Spoken" if settings.speech == "spoken" else "",
    )
    cascade = _with_prior(cascade, settings, database)
    return cascade if database is None else _with_tags(cascade, settings, database)


def _with_prior(cascade: Cascade, settings: Settings, database: Database | None) -> Cascade:
    """The cascade with how frequent genres are, as the settings say; where too few tracks have votes to estimate that,
    the cascade as it is, with a sentence."""
    if not settings.prior:
        return cascade
    from music_reclass.classification.relabel import library_prior
    from music_reclass.cli.output import complain
    from music_reclass.errors import NothingToDo

    if settings.prior != "library":
        from music_reclass.models.priors import ClassPrior

        return replace(cascade, prior=ClassPrior(_prior_shares(settings.prior, cascade)))
    if database is None:
        return cascade
    try:
        return replace(cascade, prior=library_prior(database, cascade))
    except NothingToDo as few:
        complain(f"prior = library counts for nothing yet. {few}")
        return cascade


def _prior_shares(text: str, cascade: Cascade) -> dict[str, float]:
    """The shares of a prior such as `Jazz=0.7,Blues=0.1` in the genres that the stages know, divided by their sum where
    that is above one; UsageError for unknown genres and for what are no shares."""
    from music_reclass.errors import UsageError

    taxonomy, known = cascade.taxonomy, {genre for stage in cascade.stages for genre in stage.genres}
    shares: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.rpartition("=")
        genre = taxonomy.canonical(name.strip()) if name else None
        above = [] if genre is None else [genre, *taxonomy.ancestors(genre)]
        label = next((one for one in above if one in known), None)
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if label is None or not 0.0 <= share < float("inf"):
            raise UsageError(
                f"The prior {part!r} is none: write library, or a genre that the models know and its share, as in "
                f"Jazz=0.7,Blues=0.1. They know {', '.join(sorted(known))}."
            )
        shares[label] = shares.get(label, 0.0) + share
    total = sum(shares.values())
    if not total:
        raise UsageError("The prior names no genre with a share; write library, or shares such as Jazz=0.7,Blues=0.1.")
    return {genre: share / max(total, 1.0) for genre, share in shares.items()}


def _with_tags(cascade: Cascade, settings: Settings, database: Database) -> Cascade:
    """The cascade with what the tags of the library say, where it has taught how much they count."""
    from music_reclass.classification import learned

    taught = learned.stored(settings.database) if settings.bundle is None else None
    if taught is None or taught.prior is None:
        return cascade
    from music_reclass.classification.tag_prior import TagVotes

    return replace(cascade, tags=TagVotes(taught.prior, database, cascade.taxonomy))


def exit_policy(settings: Settings, database: Database | None) -> ExitPolicy:
    """The exit policy of the settings, with the seconds that the library's scans measured where these are enough."""
    from music_reclass.features.results import Scans
    from music_reclass.models.exit_policy import ExitPolicy

    costs = {} if database is None else Scans(database).costs()
    each = {stage: cost.seconds_per_track for stage, cost in costs.items() if cost.extracted >= _MEASURED}
    measured = {stage: seconds for stage, seconds in each.items() if seconds is not None}
    return ExitPolicy.of(settings.exit_policy, settings.effort, _device_class(settings.device), measured)


def _device_class(device: str) -> str:
    """Whether networks will run on a card or a processor, as far as can be said without loading torch."""
    from importlib.util import find_spec
    from pathlib import Path

    if device != "auto":
        return "cuda" if device.startswith("cuda") else "cpu"
    cards = (Path("/dev") / name for name in ("nvidia0", "nvgpu", "nvhost-gpu"))
    return "cuda" if any(card.exists() for card in cards) and find_spec("torch") is not None else "cpu"


def usable(bundles: Sequence[Bundle], *, by_name: bool = False) -> tuple[list[Bundle], dict[str, ReclassError]]:
    """Those of `bundles` whose stages can run here, the first always; and for each other stage, why it cannot.

    Unless they are asked for `by_name`, one of the embedded EfficientAT and MusiCNN is enough.
    """
    obstacles = {bundle.stage: _obstacle(bundle) for bundle in bundles[1:]}
    absent = {stage: obstacle for stage, obstacle in obstacles.items() if obstacle is not None}
    chosen = [bundle for bundle in bundles if bundle.stage not in absent]
    if by_name:
        return chosen, absent
    if "efficientat" in absent:
        absent.pop("musicnn", None)  # one cure is enough
    return _with_one_alternative(chosen, absent)


def _with_one_alternative(chosen: list[Bundle], absent: dict[str, _Why]) -> tuple[list[Bundle], dict[str, _Why]]:
    """Of the embedded EfficientAT and MusiCNN the first that can run, and nothing of the one that is not needed."""
    from music_reclass.models.bundle import embedded, without_alternative

    alternatives = ("efficientat", "musicnn")
    kept = without_alternative(chosen)
    if any(bundle.digest == embedded(stage).digest for bundle in kept for stage in alternatives):
        absent = {stage: why for stage, why in absent.items() if stage not in alternatives}
    return kept, absent


def content_bundles(settings: Settings) -> list[Bundle]:
    """The bundles that tell music from other sounds, cheapest first: those whose vectors can be had here, and the first
    alone where stages are named that leave EfficientAT out."""
    from music_reclass.domain import CONTENT
    from music_reclass.models.bundle import embedded

    first, second = map(embedded, CONTENT)
    wanted = settings.stages == "auto" or "efficientat" in settings.stages
    return [first, second] if wanted and _obstacle(second) is None else [first]


def library_exits(database: Database, digests: Sequence[str]) -> dict[str, tuple[ExitRule, ...]]:
    """The exit rules certified on this library, by the digest of the stage's bundle."""
    from music_reclass.classification.certify import stored_exits

    return stored_exits(database, digests)


def bundles_of_scan(settings: Settings) -> list[Bundle]:
    """The bundles of the stages that a scan uses where all of them can run; UsageError for a stage that is unknown."""
    available = available_bundles(settings)
    wanted = _named(settings.stages, [bundle.stage for bundle in available])
    return [bundle for bundle in available if wanted is None or bundle.stage in wanted]


def bundles_for(request: DatasetRequest, settings: Settings) -> tuple[list[Bundle], dict[str, str]]:
    """The bundles of a scan whose features the data of `request` have or can get, cheapest first; and for each stage
    that is left out, why."""
    from music_reclass.training.open import AUDIO, lacking

    chosen, absent = [], {}
    for place, bundle in enumerate(bundles_of_scan(settings)):
        obstacle = lacking(request, bundle.kinds) if place else ""
        if place and not obstacle and request.form in AUDIO:
            obstacle = str(_obstacle(bundle) or "")
        elif place and not obstacle and request.form == "library":
            obstacle = _not_stored(bundle, settings)
        if obstacle:
            absent[bundle.stage] = obstacle
        else:
            chosen.append(bundle)
    return _with_one_alternative(chosen, absent) if settings.stages == "auto" else (chosen, absent)


def _not_stored(bundle: Bundle, settings: Settings) -> str:
    """Which vectors of the stage of `bundle` the library does not hold of any track; "" where it holds all kinds."""
    from contextlib import closing

    from music_reclass.features.database import Database
    from music_reclass.features.library import Library

    if not settings.database.exists():
        return ""
    with closing(Database(settings.database)) as database:
        lacking = [kind.name for kind in bundle.kinds if not Library(database).sampled_vectors(kind, 1)]
    return f"the library holds no vectors of {lacking[0]}" if lacking else ""


def available_bundles(settings: Settings) -> list[Bundle]:
    """The bundles of the cascade: those that the library has taught (`reclass learn`), else `untaught_bundles`; or the
    cascade that the settings name, or its single bundle in the place of the embedded one of its stage, else after the
    first."""
    from music_reclass.models.bundle import EMBEDDED, embedded, load_cascade

    if settings.bundle is None:
        from music_reclass.classification import learned

        taught = learned.stored(settings.database)
        return list(taught.bundles) if taught is not None and taught.bundles else untaught_bundles()
    first, *later = map(embedded, EMBEDDED)
    given = list(load_cascade(settings.bundle))
    if len(given) > 1:
        return given
    return [given[0], *later] if given[0].stage == first.stage else [first, given[0]]


def untaught_bundles() -> list[Bundle]:
    """The bundles of a library that has taught nothing: the embedded ones, and the tag heads that are installed."""
    from music_reclass.models.bundle import EMBEDDED, embedded

    return [*map(embedded, EMBEDDED), *_tag_heads()]


def _tag_heads() -> list[Bundle]:
    """The bundles of installed taggers that name genres by themselves, cheapest first."""
    from music_reclass.extractors.registry import TAG_HEADS
    from music_reclass.extractors.weights.store import find

    stages = [stage for stage, model in TAG_HEADS.items() if find(model) is not None]
    if not stages:
        return []
    from music_reclass.models.tag_head import tag_head

    return list(map(tag_head, stages))


def _named(words: str, known: list[str]) -> set[str] | None:
    """The stages named by `words`: numbers or names, the first always among them; None for `auto`."""
    from music_reclass.errors import UsageError
    from music_reclass.extractors.registry import TAG_HEADS
    from music_reclass.extractors.weights.store import needed

    if words == "auto":
        return None
    names = [word.strip() for word in words.split(",")]
    names = [known[int(name) - 1] if name.isdecimal() and 0 < int(name) <= len(known) else name for name in names]
    for name in names:
        if name in TAG_HEADS and name not in known:
            needed(TAG_HEADS[name])
    if names[:1] != known[:1] or len(set(names)) != len(names) or not set(names) <= set(known):
        raise UsageError(
            f"There are no stages {words!r}; say 1 (the first alone), {','.join(['1', *known[1:2]])} or auto. "
            f"The first is always among them; the stages here are {', '.join(known)}."
        )
    return set(names)


def _obstacle(bundle: Bundle) -> ReclassError | None:
    """Why the later stage of `bundle` cannot run here; None if it can."""
    from music_reclass.errors import BundleError, MissingExtra
    from music_reclass.extractors.registry import EXTRACTORS, extractor, require_weights
    from music_reclass.extractors.weights.store import MissingWeights

    for kind in bundle.kinds:
        if kind.name not in EXTRACTORS:
            return BundleError(
                f"The stage {bundle.stage} needs vectors of the kind {kind.name}, which is unknown here."
            )
        try:
            require_weights(kind.name)
            here = extractor(kind.name, kind.excerpt).kind
        except (MissingWeights, MissingExtra) as error:
            return error
        if here != kind:
            return BundleError(
                f"The stage {bundle.stage} was trained on {kind.key}, and what is installed gives {here.key}; install "
                f"the weights it was trained with (reclass models install {kind.name} FILE), or scan with --stages 1."
            )
    return None
