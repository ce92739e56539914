"""What `reclass learn` gains on a library that its models were not trained on, and what random tags change.

`python benchmarks/learn.py genre_clips.npz [genre_clips_mn04.npz]`: a model of three fifths of the artists of one
collection (4q) stands for the embedded one, as the embedded models know the whole table. The library is made of the
other collection (emotify) and of the other artists of the first, with tags as people give them (`tests/taught.py`); a
fifth of its artists is kept out of it, and judged by their true labels. With the second file there is a later stage, on
EfficientAT's vectors.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.models.bundle import Bundle
from music_reclass.models.crossval import grouped_folds
from music_reclass.models.dataset import Dataset, Table, columns_of, fma518, read_table
from music_reclass.models.metrics import mean_over_groups
from music_reclass.models.mlp import EMBEDDING_RECIPE, FMA_RECIPE, mlp_estimator
from music_reclass.taxonomy import Taxonomy, load
from music_reclass.training.evaluate import labels_as
from music_reclass.training.learn import Lesson, draw, learn, read_sample
from music_reclass.training.tag_weights import TagWeights, learn_tag_weights
from music_reclass.training.train import StageRecipe, train

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.taught import Tagging, fill, tags_for

ROUNDS = 3
KINDS = (fma518("mid30"), FeatureKind("efficientat", "benchmark", 384, "mid30"))


def main() -> None:
    """Libraries with real-looking tags, with random ones, and with music like that which the model was made of."""
    table = read_table(Path(sys.argv[1]))
    kinds = KINDS[: len(sys.argv) - 1]
    if len(kinds) > 1:
        with np.load(sys.argv[2]) as stored:
            rows = np.concatenate([table.rows, stored["mn04"].astype(np.float32)], axis=1)
        table = replace(table, columns=columns_of(kinds), rows=rows)
    taxonomy = load()
    gained: list[NDArray[np.float64]] = []
    groups: list[NDArray[np.int64]] = []
    for seed in range(ROUNDS):
        first = table.datasets == "4q"
        fold = grouped_folds(table.groups, table.labels, 5, seed)
        known = first & (fold < 3)
        rest = np.flatnonzero(~known)
        inside = grouped_folds(table.groups[rest], table.labels[rest], 5, seed + 100) > 0
        base = _base(table.chosen(known), kinds, taxonomy)
        library, judged = table.chosen(rest[inside]), table.chosen(rest[~inside])
        started = time.process_time()
        lesson, weights = _learned(library, kinds, base, taxonomy, Tagging(seed=seed))
        seconds = time.process_time() - started
        before = _right(base[-1], judged, kinds, taxonomy)
        after = _right(lesson.bundles[-1], judged, kinds, taxonomy) if lesson.comparison.is_better else before
        gained.append(after - before)
        groups.append(judged.groups + 10_000 * seed)
        print(f"library {seed}: {_shown(lesson, weights)}; {seconds:.0f} s of processor time")
        figures = f"{before.mean():.3f} -> {after.mean():.3f}"
        print(f"  {len(judged)} tracks of artists outside it, by their true labels: {figures}")
    gain = mean_over_groups(np.concatenate(gained), np.concatenate(groups))
    print(f"all: {100 * gain.value:+.1f} points, 95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}")
    for seed in range(ROUNDS):
        lesson, weights = _learned(library, kinds, base, taxonomy, Tagging(noise=True, seed=seed))
        print(f"random tags {seed}: {_shown(lesson, weights)}")
    like = library.chosen(library.datasets == "4q")
    lesson, weights = _learned(like, kinds, base, taxonomy, Tagging())
    print(f"music like that of the model: {_shown(lesson, weights)}")


def _base(table: Table, kinds: tuple[FeatureKind, ...], taxonomy: Taxonomy) -> list[Bundle]:
    """What stands for the embedded models: a stage for every kind, with those before it."""
    count = len(table)
    data = Dataset(
        "others", table, kinds[0], np.full(count, ""), tuple(map(str, range(count))), tuple(map(str, table.groups)),
        kinds[1:],
    )  # fmt: skip
    recipes = (
        replace(FMA_RECIPE, members=FMA_RECIPE.members[:4]),
        replace(EMBEDDING_RECIPE, members=EMBEDDING_RECIPE.members[:4]),
    )
    found = []
    for place in range(len(kinds)):
        names = tuple(kind.name for kind in kinds[: place + 1])
        recipe = StageRecipe("stand-in", names, (mlp_estimator(0, recipes[place]),))
        found.append(train(data, recipe, taxonomy=taxonomy.digest).bundle)
    return found


def _learned(
    table: Table, kinds: tuple[FeatureKind, ...], base: list[Bundle], taxonomy: Taxonomy, how: Tagging
) -> tuple[Lesson, TagWeights | None]:
    """What the library teaches, as `reclass learn` does it."""
    tags = tags_for(table.labels, table.classes, table.groups, taxonomy, how)
    with tempfile.TemporaryDirectory() as folder:
        database = fill(Path(folder) / "library.sqlite3", _vectors(table, kinds), tags, table.groups)
        drawn = draw(database, kinds[0], taxonomy)
        lesson = learn(read_sample(database, drawn.tracks, base, taxonomy), base, taxonomy)
        weights = None
        if lesson.comparison.information.low > 0:
            weights = learn_tag_weights(database, lesson.judged, lesson.votes, taxonomy)
        database.close()
    return lesson, weights


def _vectors(table: Table, kinds: tuple[FeatureKind, ...]) -> dict[FeatureKind, NDArray[np.float32]]:
    starts = np.cumsum([0, *(kind.dimension for kind in kinds)])
    return {kind: table.rows[:, starts[n] : starts[n + 1]] for n, kind in enumerate(kinds)}


def _right(bundle: Bundle, table: Table, kinds: tuple[FeatureKind, ...], taxonomy: Taxonomy) -> NDArray[np.float64]:
    """Whether the bundle's first genre is among each row's true labels, (n,)."""
    names = tuple(map(str, range(len(table))))
    data = Dataset("judged", table, kinds[0], np.full(len(table), ""), names, (), kinds[1:])
    truth = labels_as(bundle.labels, data, taxonomy)
    rows = data.of([kind.name for kind in bundle.kinds]).table.rows
    first = bundle.predict_proba(rows).argmax(axis=1)
    return np.asarray(truth[np.arange(len(table)), first], dtype=np.float64)


def _shown(lesson: Lesson, weights: TagWeights | None) -> str:
    figures = lesson.comparison
    gain, information = figures.gain, figures.information
    text = (
        f"{lesson.rows} tracks by {lesson.artists} artists, {lesson.left_out} tags left out; by the tags "
        f"{figures.before.value:.3f} -> {figures.after.value:.3f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f}), "
        f"information {information.low:+.2f} to {information.high:+.2f}; "
        f"{'learned' if figures.is_better else 'not used'}"
    )
    if weights is None or weights.prior is None:
        return f"{text}; tags nearby do not count"
    prior, gain = weights.prior, weights.gain
    return (
        f"{text}; tags nearby: artist {prior.artist:g}, album {prior.album:g}, {weights.before.value:.3f}, "
        f"{100 * gain.value:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f}) points"
    )


if __name__ == "__main__":
    main()
