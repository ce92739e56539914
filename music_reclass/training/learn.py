"""Learns from the tags of a library: models beside those at hand, compared with them on artists they never saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.agreement import TagAgreement
from music_reclass.classification.voter import Cascade
from music_reclass.domain import FeatureKind, Vote
from music_reclass.errors import NothingToDo
from music_reclass.features.library import Library
from music_reclass.models.bundle import Bundle, make
from music_reclass.models.calibration import hits
from music_reclass.models.crossval import Log, held_out, pooled_calibration
from music_reclass.models.dataset import Dataset, to_dataset
from music_reclass.models.early_exit import CalibrationSet, RiskTarget, certified_exit_rule
from music_reclass.models.metrics import Interval, evaluate, mean_over_groups
from music_reclass.models.mlp import WIDE_RECIPE, mlp_estimator, recipe_for
from music_reclass.models.precision import certified_thresholds
from music_reclass.models.stacking import extended_estimator, member_weights, stacked, supported_labels
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import library
from music_reclass.training.label_issues import as_estimator, find_label_issues, related_labels, without_issues
from music_reclass.training.open import LEAST
from music_reclass.training.train import CrossValidated, StageRecipe, finish, silent

if TYPE_CHECKING:
    from music_reclass.features.database import Database
    from music_reclass.models.base import Estimator

SAMPLE = 3000
"""Tracks that are learned from, unless something else is asked for."""

FEWEST_TRACKS, FEWEST_ARTISTS = 200, 20
_LEAST_ARTISTS = 3  # of a genre that is no genre of the models at hand; else it counts as its parent
_FLOOR = 40  # tracks of a genre that a sample holds where the library has them, however rare the genre is
LICENCE = "learned from the tags of a library; holds the models that it was learned beside, whose licence holds too"
_SMALL = 1500  # rows up to which a few small networks learn better than a wide one

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """Tracks to learn from, of all that carry a usable tag of the user."""

    tracks: tuple[int, ...]  # every beginning of them spread over genres and artists too
    tagged: int
    artists: int  # among `tracks`
    genres: Mapping[str, int]  # in the words of the tags, among `tracks`


@dataclass(frozen=True, slots=True)
class Comparison:
    """The models at hand and the learned ones on tracks of artists that the latter never saw.

    A decision is right where it agrees with the tag: the same genre, one above it or one below it. `exact`: the gain in
    decisions that name the tag's very genre. `information`: by how much likelier the learned models, believed by half,
    make the tags than their mere frequency does, in nats.
    """

    before: Interval
    after: Interval
    gain: Interval
    exact: Interval
    information: Interval

    @property
    def is_better(self) -> bool:
        """Whether more is right beyond chance, and not by the frequency of the tags alone."""
        finer = self.exact.low > 0 and self.gain.value >= 0
        return self.information.low > 0 and (self.gain.low > 0 or finer)

    def as_json(self) -> dict[str, Any]:
        """The figures with their 95 % intervals."""
        return {
            name: {"value": round(one.value, 4), "low": round(one.low, 4), "high": round(one.high, 4)}
            for name, one in (
                ("before", self.before), ("after", self.after), ("gain", self.gain), ("exact_gain", self.exact),
                ("information", self.information),
            )
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a sample taught: the learned bundles, cheapest first, and how they compare with the models at hand."""

    bundles: tuple[Bundle, ...]
    comparison: Comparison
    judged: Dataset  # the rows of the comparison
    votes: tuple[Vote, ...]  # on these, of the better cascade, which did not see their artists
    rows: int
    artists: int
    left_out: int  # tags that are probably wrong
    genres: tuple[str, ...]  # that were learned
    new: tuple[str, ...]  # genres that the models at hand do not know
    kept: tuple[str, ...]  # genres that too few rows carry: the models at hand go on deciding them
    lost: tuple[str, ...]  # genres that the models at hand decide better: so for these
    notes: tuple[str, ...]


def draw(
    database: Database,
    kind: FeatureKind,
    taxonomy: Taxonomy,
    *,
    most: int = SAMPLE,
    below: Callable[[str], bool] = lambda path: True,
    seed: int = 0,
) -> Sample:
    """Tracks with features and a genre that the user gave, by a tag or by deciding it, of paths `below`, spread over
    genres and artists.

    Every genre gets its share of the sample, and a rare one more; within a genre artists take turns. Junk tags and what
    reclass wrote are no tags. NothingToDo where there are too few.
    """
    counted = TagAgreement(taxonomy, taxonomy.labels).counted_as
    found: dict[str, dict[str, list[int]]] = {}
    tagged, stored = 0, Library(database)
    decided = library.decided_genres(database, kind)
    untagged = sorted(decided.keys() - stored.user_genres(decided).keys())
    for track in chain(stored.tracks_with(kind, tagged_by_user=True), stored.tracks(untagged)):
        genre = counted(decided.get(track.id) or track.tags.genres or ()) if below(track.path) else None
        if genre is not None:
            found.setdefault(genre, {}).setdefault(track.group, []).append(track.id)
            tagged += 1
    artists = len({artist for groups in found.values() for artist in groups})
    if tagged < FEWEST_TRACKS or artists < FEWEST_ARTISTS or len(found) < 2:
        raise NothingToDo(
            f"Learning needs at least {FEWEST_TRACKS} tracks by {FEWEST_ARTISTS} artists, in two genres or more, with "
            f"stored features and a genre tag that you gave. Tracks here: {tagged:,}; artists: {artists:,}; genres: "
            f"{len(found):,}. Scan more tagged music first (reclass scan --dry-run PATH)."
        )
    generator = np.random.default_rng(seed)
    quotas = _quotas({genre: sum(map(len, groups.values())) for genre, groups in found.items()}, most)
    chosen: list[tuple[float, int]] = []
    names: set[str] = set()
    for genre, quota in quotas.items():
        for turn, (artist, track_id) in enumerate(list(_in_turns(found[genre], generator))[:quota]):
            chosen.append((turn / quota, track_id))
            names.add(artist)
    return Sample(tuple(track_id for _, track_id in sorted(chosen)), tagged, len(names), quotas)


def _quotas(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """How many of each genre: all where they fit in, else in proportion, but of rare ones up to _FLOOR."""
    total = sum(counts.values())
    if total <= most:
        return dict(counts)
    return {genre: min(count, max(_FLOOR, round(count * most / total))) for genre, count in counts.items()}


def _in_turns(groups: Mapping[str, list[int]], generator: np.random.Generator) -> Iterator[tuple[str, int]]:
    """All tracks of a genre with their artists: one of every artist, then a second one, and so on."""
    names = [sorted(groups)[place] for place in generator.permutation(len(groups))]
    shuffled = {name: [groups[name][place] for place in generator.permutation(len(groups[name]))] for name in names}
    for turn in range(max(map(len, shuffled.values()))):
        for name in names:
            if turn < len(shuffled[name]):
                yield name, shuffled[name][turn]


def stages_at_hand(database: Database, tracks: Sequence[int], bundles: Sequence[Bundle]) -> tuple[int, tuple[int, ...]]:
    """How many of the stages can be learned, and the tracks with vectors of all of these.

    A later stage is left out where more than half of the tracks lack its vectors, or too few are left to learn from.
    """
    stored, left, count = Library(database), list(tracks), 0
    for bundle in bundles:
        having = list(left)
        for kind in bundle.kinds:
            known = stored.having(having, kind)
            having = [track for track in having if track in known]
        if count and (len(having) < FEWEST_TRACKS or 2 * len(having) < len(tracks)):
            break
        left, count = having, count + 1
    return count, tuple(left)


def read_sample(database: Database, tracks: Sequence[int], bundles: Sequence[Bundle], taxonomy: Taxonomy) -> Dataset:
    """The tracks with the vectors that the stages need, labelled by their tags; the bundles' genres are all classes."""
    first, *later = dict.fromkeys(kind for bundle in bundles for kind in bundle.kinds)
    raw = library.read(database, first, later, among=tracks, decided=library.decided_genres(database, first))
    known = dict.fromkeys(name for bundle in bundles for name in map(taxonomy.canonical, bundle.labels) if name)
    return to_dataset(raw, taxonomy, LEAST, kept=tuple(known), artists=_LEAST_ARTISTS)


def learn(data: Dataset, base: Sequence[Bundle], taxonomy: Taxonomy, *, seed: int = 0, log: Log = silent) -> Lesson:
    """A stage beside each of `base`: a stack of the stage as it is and networks that learn the tags of `data`.

    Figures, weights of the stack, calibration and exit rules come from artists that the networks did not see. Tags that
    are probably wrong count in the comparison, and nowhere else. A genre that the models at hand decide better, beyond
    chance, stays with them, as do those that too few rows carry.
    """
    wide = data.of([kind.name for kind in base[-1].kinds])
    judges = [mlp_estimator(seed, WIDE_RECIPE), as_estimator(base[-1], taxonomy)]
    related = related_labels(wide.table, taxonomy)
    issues = find_label_issues(wide.table, judges, related=related, seed=seed, log=log)
    held = without_issues(data, issues)
    trusted: Mask = np.isin(np.array(data.names), np.array(held.names))
    log(held.table.notes[-1])
    rounds = [_learned(data, base, taxonomy, held, trusted=trusted, left=frozenset(), seed=seed, log=log)]
    if rounds[0].comparison.is_better and rounds[0].lost:
        log(f"learned again: the models at hand are right more often where the tag is {', '.join(rounds[0].lost)}")
        left = frozenset(rounds[0].lost)
        rounds.append(_learned(data, base, taxonomy, held, trusted=trusted, left=left, seed=seed, log=silent))
    return rounds[-1] if rounds[-1].comparison.is_better else replace(rounds[0], lost=())


def _learned(
    data: Dataset,
    base: Sequence[Bundle],
    taxonomy: Taxonomy,
    held: Dataset,
    *,
    trusted: Mask,
    left: frozenset[str],
    seed: int,
    log: Log,
) -> Lesson:
    """The lesson of `data`, models fitted on the rows `held` of it; the genres `left` stay with the models at hand."""
    judged = []
    for bundle in base:
        part = data.of([kind.name for kind in bundle.kinds])
        beside = as_estimator(bundle, taxonomy)
        head = extended_estimator(_head(part, seed), beside, left)
        recipe = StageRecipe(f"{bundle.stage}-learned", tuple(kind.name for kind in bundle.kinds), (beside, head))
        judged.append(_judged(part, recipe, trusted, seed=seed, log=log))
    bundles = _with_exits(judged, held, trusted, names=[bundle.stage for bundle in base], taxonomy=taxonomy)
    supported = {data.table.classes[place] for place in supported_labels(held.table)}
    known = {name for bundle in base for name in map(taxonomy.canonical, bundle.labels) if name}
    scores = judged[0].scores
    mask: Mask = np.zeros(len(data), dtype=np.bool_)
    mask[scores.rows[scores.judging]] = True
    rows = data.chosen(mask)
    before = _votes_of(base, rows, taxonomy)
    after = _held_out_votes(bundles, [stage.probabilities[scores.judging, 0] for stage in judged], rows, taxonomy)
    comparison = compare(rows, before, after, taxonomy)
    lost = [name for name in data.table.classes if name in supported & known and _is_lost(name, rows, before, after)]
    return Lesson(
        bundles,
        comparison,
        rows,
        tuple(after if comparison.is_better else before),
        len(data),
        len(np.unique(data.table.groups)),
        len(data) - len(held),
        genres=tuple(name for name in data.table.classes if name in supported - left),
        new=tuple(name for name in data.table.classes if name in supported - known),
        kept=tuple(name for name in data.table.classes if name not in supported),
        lost=tuple(sorted(left)) if left else tuple(lost),
        notes=tuple(note for stage in judged for note in stage.notes),
    )


def _is_lost(genre: str, judged: Dataset, before: Sequence[Vote], after: Sequence[Vote]) -> bool:
    """Whether the first votes are better at `genre`, beyond chance: among the rows with that tag, and those to which
    either votes give it."""
    tagged = judged.table.labels[:, judged.table.classes.index(genre)]
    first = np.array([vote.genre == genre for vote in before])
    second = np.array([vote.genre == genre for vote in after])
    asked = tagged | first | second
    gain = (second == tagged)[asked].astype(np.float64) - (first == tagged)[asked]
    return bool(asked.any()) and mean_over_groups(gain, judged.table.groups[asked]).high < 0


def compare(judged: Dataset, before: Sequence[Vote], after: Sequence[Vote], taxonomy: Taxonomy) -> Comparison:
    """Two cascades by their last votes on the rows `judged`, of artists that the second one did not see."""
    classes = judged.table.classes
    tags = [tuple(name for name, has in zip(classes, row, strict=True) if has) for row in judged.table.labels]
    agreement = TagAgreement(taxonomy, taxonomy.labels)

    def right(votes: Sequence[Vote]) -> Doubles:
        pairs = zip(votes, tags, strict=True)
        return np.array([float(bool(agreement.agrees(vote.genre, names))) for vote, names in pairs])

    def exact(votes: Sequence[Vote]) -> Doubles:
        return np.array([float(vote.genre in names) for vote, names in zip(votes, tags, strict=True)])

    frequency = dict(zip(classes, judged.table.labels.mean(axis=0).tolist(), strict=True))
    likelier = [
        _likelier(_share(vote.probabilities, names), _share(frequency, names))
        for vote, names in zip(after, tags, strict=True)
    ]
    first, second = right(before), right(after)
    found = (first, second, second - first, exact(after) - exact(before), np.array(likelier))
    return Comparison(*(mean_over_groups(one, judged.table.groups) for one in found))


def _votes_of(bundles: Sequence[Bundle], rows: Dataset, taxonomy: Taxonomy) -> list[Vote]:
    """The last vote of the cascade on each row."""
    cascade = Cascade.from_bundles(bundles, taxonomy)
    each = [stage.predict(rows.of([kind.name for kind in stage.kinds]).table.rows) for stage in cascade.stages]
    return _last_votes(cascade, each)


def _held_out_votes(
    bundles: Sequence[Bundle], probabilities: Sequence[Doubles], rows: Dataset, taxonomy: Taxonomy
) -> list[Vote]:
    """The last vote on each row, given what each stage says of it without having seen its artist, (n, labels)."""
    classes = rows.table.classes
    each = [
        [Vote(bundle.stage, dict(zip(classes, row, strict=True))) for row in of_stage.tolist()]
        for bundle, of_stage in zip(bundles, probabilities, strict=True)
    ]
    return _last_votes(Cascade.from_bundles(bundles, taxonomy), each)


def _last_votes(cascade: Cascade, votes: Sequence[Sequence[Vote]]) -> list[Vote]:
    """The last vote for each row, given what each stage says of it."""
    known = dict(enumerate(zip(*votes, strict=True)))
    nothing: Any = None  # no stage is asked for a vote that is not known
    return [cast[-1] for cast in cascade.predict(known, nothing, (), known).values()]


def _share(shares: Mapping[str, float], names: Sequence[str]) -> float:
    return min(1.0, sum(shares[name] for name in names))


def _likelier(probability: float, frequency: float) -> float:
    """By how much likelier than its frequency a tag becomes if the models are believed by half, in nats. The mean is
    never above 0 for random tags (Jensen's inequality), and a wrong tag costs no more than the logarithm of 2."""
    return math.log((probability + frequency) / (2 * frequency))


def _judged(data: Dataset, recipe: StageRecipe, trusted: Mask, *, seed: int, log: Log) -> CrossValidated:
    """The stage on artists that it did not see: all rows, its calibration and thresholds from those `trusted`."""
    scores, fitted = held_out(data, recipe.estimators, seed=seed, log=log)
    labels, groups, sound = data.table.labels[scores.rows], data.table.groups[scores.rows], trusted[scores.rows]
    weights, notes = member_weights(scores, labels, [one.name for one in recipe.estimators])
    found = stacked(scores, weights, labels)
    learning, judging = scores.learning & sound, scores.judging & sound
    calibration = pooled_calibration(found[learning], labels[learning])
    probabilities = calibration(found)
    for outside, inside in scores.turns if scores.folds else ():
        calibrated = pooled_calibration(found[inside & sound], labels[inside & sound])
        probabilities[outside] = calibrated(found[outside])
    clean = probabilities[:, 0]
    versions = [(clean[learning].max(axis=1), hits(clean[learning], labels[learning]))]
    certificates = certified_thresholds(versions, groups[learning], recipe.target)
    evaluation = evaluate(
        clean[judging],
        labels[judging],
        data.table.classes,
        groups[judging],
        title=f"{recipe.name} on artists of the library that it did not see",
        warnings=data.table.notes,
    )
    return CrossValidated(
        recipe, data, seed, scores, weights, notes, fitted, calibration, probabilities, evaluation, certificates
    )


def _with_exits(
    judged: Sequence[CrossValidated], held: Dataset, trusted: Mask, *, names: Sequence[str], taxonomy: Taxonomy
) -> tuple[Bundle, ...]:
    """The bundles, fitted on the rows `held` and made from the last to the first: an exit rule names the later ones."""
    first = judged[0]
    sound = trusted[first.scores.rows]
    probabilities = [stage.probabilities[sound, 0] for stage in judged]
    clean = CalibrationSet.of("new artists", first.groups[sound], probabilities, first.labels[sound])
    target, made = RiskTarget(), list[Bundle]()
    for place in reversed(range(len(judged))):
        rules = []
        for last in range(place + 1, len(judged)):
            later = [bundle.digest for bundle in made[: last - place]]
            rules.append(certified_exit_rule([clean], (place, last), target.shared(last), later))
        stage = replace(judged[place], data=held.of(judged[place].recipe.kinds))
        bundle = finish(stage, rules, taxonomy=taxonomy.digest, licence=LICENCE).bundle
        made.insert(0, make({**bundle.manifest, "stage": names[place]}, bundle.model))
    return tuple(made)


def _head(data: Dataset, seed: int) -> Estimator:
    """Networks that learn in seconds: they are trained five times over to be judged."""
    found = recipe_for(data.table.columns, len(data))
    small = replace(found, members=found.members[:4])
    return mlp_estimator(seed, small if len(data) <= _SMALL else WIDE_RECIPE)
