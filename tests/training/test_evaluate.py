"""A bundle on a data set: labels in its words, only the columns it uses, and every caveat named."""

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.errors import BundleError, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.bundle import Bundle, artist_digests, embedded
from music_reclass.models.dataset import TEST, TRAINING, Dataset, Raw, fma518, to_dataset
from music_reclass.taxonomy import load
from music_reclass.training.evaluate import caveats, evaluate_cascade, full_rows, labels_as
from tests.training.making import learnable

TAXONOMY = load()


@pytest.fixture
def data() -> Dataset:
    rows, genres = learnable(40, ("Metal", "Jazz"))
    artists = [f"artist {number // 4}" for number in range(40)]
    return to_dataset(
        Raw("mine", rows, [(g,) for g in genres], artists, list(map(str, range(40))), fma518("mid30")), TAXONOMY
    )


def test_a_finer_genre_counts_as_what_the_bundle_calls_it(data: Dataset) -> None:
    labels = labels_as(("Rock", "Folk", "Jazz"), data, TAXONOMY)

    assert labels.sum(axis=0).tolist() == [20, 0, 20]


def test_the_embedded_bundle_is_judged_with_every_warning_that_applies(data: Dataset) -> None:
    evaluation = evaluate_cascade([embedded()], data, TAXONOMY)

    assert evaluation.count == 40
    assert evaluation.artists == 10
    assert any("no row of" in text for text in evaluation.warnings)


def test_rows_and_artists_that_the_bundle_was_trained_on_are_noticed(data: Dataset) -> None:
    bundle = embedded()

    def trained_on(**origin: object) -> Bundle:
        return replace(bundle, manifest={**bundle.manifest, "training": origin})

    assert "these very rows" in caveats([trained_on(table=data.table.digest)], data)[0]
    assert (
        "4 of 40 rows are of artists"
        in caveats([trained_on(artists_seen=artist_digests(["artist 3", "stranger"]))], data)[0]
    )
    assert not caveats([trained_on(artists_seen=artist_digests(["stranger"]))], data)


def test_an_official_split_that_artists_cross_is_warned_of(data: Dataset) -> None:
    crossing = replace(data, split=np.array([TRAINING, TEST] * 20))

    assert "20 of 20 test rows are of artists" in crossing.leaks()[0]


def test_columns_that_the_bundle_uses_must_be_there(data: Dataset) -> None:
    bundle = embedded()
    some = bundle.manifest["model"] | {"columns": list(COLUMNS[:3])}
    narrow = replace(bundle, manifest={**bundle.manifest, "model": some})

    rows = full_rows(data.table.rows[:, :3], COLUMNS[:3], narrow)

    assert rows.shape == (40, 518)
    np.testing.assert_array_equal(rows[:, :3], data.table.rows[:, :3])
    with pytest.raises(BundleError, match="uses columns that the data lack"):
        full_rows(data.table.rows[:, :3], COLUMNS[:3], bundle)


def test_each_row_is_judged_in_the_labels_of_the_bundle_that_decided_it(data: Dataset) -> None:
    first = embedded()
    narrow = replace(first, stage="later", labels=tuple({"Rock": "Metal"}.get(name, name) for name in first.labels))

    alone, after = (evaluate_cascade(stages, data, TAXONOMY) for stages in ([first], [first, narrow]))

    assert after.title.startswith("a cascade (decided by fma518 0%, later 100%)")
    assert {"Rock", "Metal"} <= set(after.classes)
    assert after.accuracy.value == alone.accuracy.value


def test_a_part_of_the_split_that_is_not_there_is_said(data: Dataset) -> None:
    with pytest.raises(UsageError, match="no rows in the part 'test'"):
        evaluate_cascade([embedded()], data, TAXONOMY, part=TEST)
    with pytest.raises(UsageError, match="no row with a genre that"):
        evaluate_cascade([replace(embedded(), labels=("Gamelan",))], data, TAXONOMY)
