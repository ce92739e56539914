"""Tables made by others: arrays of other shapes and types are refused in a sentence, and never half understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.models.dataset import TableFile
from music_reclass.training import npz
from tests.training.synthetic import CLASSES, arrays, views_of, written

COUNT = 6


def table(**changes: Any) -> TableFile:
    return TableFile(Path("t.npz"), {**arrays(COUNT), **changes})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("classes", np.array("Rock")),
        ("classes", np.array(3)),
        ("classes", np.array([])),
        ("classes", np.array([["Blues", "Jazz"], ["Pop", "Pop"]])),
        ("labels", np.array(True)),
        ("labels", np.ones((COUNT, 4))),  # numbers that might be probabilities
        ("labels", np.array([["yes"] * 4] * COUNT)),
        ("labels", np.ones((4, COUNT), dtype=bool)),
        ("labels", np.zeros((COUNT, 4), dtype=bool)),
        ("columns", np.array("mfcc_mean_01")),
        ("columns", np.arange(518)),
        ("fma518", np.array(1.0)),
        ("fma518", np.zeros((COUNT, 518), dtype=complex)),
        ("fma518", np.zeros((COUNT, 518), dtype=bool)),
        ("fma518", np.full((COUNT, 518), 1e300)),  # infinite as float32
        ("fma518", np.zeros((COUNT, 2, 518))),
        ("group", np.array("one")),
        ("group", np.zeros((COUNT, 1))),
        ("dataset", np.array(["one"] * (COUNT + 1))),
        ("dataset", np.array(0)),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_an_array_of_another_shape_or_type_is_refused(name: str, array: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"t\.npz"):
        table(**{name: array}).table()


@pytest.mark.parametrize(
    "views", [np.array("quiet"), np.array([]), np.array(2), np.array(["a", "b", "c"])], ids=lambda array: str(array)
)
def test_names_of_augmentations_that_do_not_fit_are_refused(views: np.ndarray) -> None:
    known = table().table()
    file = TableFile(Path("v.npz"), {**views_of(arrays(COUNT)), "views": views})
    with pytest.raises(UsageError, match="the array `views` must name each of them"):
        file.augmentations(known)


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("split", np.array(["training", "dev", "", "", "", ""]), "must hold training, validation, test or nothing"),
        ("split", np.array("training"), "the shape"),
        ("split", np.arange(COUNT), "must hold training"),
        ("names", np.array(["a"]), "the shape"),
        ("kinds", np.array(["fma518"]), "NAME/VERSION/EXCERPT belongs there"),
        ("kinds", np.array(["/1/mid30"]), "NAME/VERSION/EXCERPT belongs there"),
        ("kinds", np.array(7), "NAME/VERSION/EXCERPT belongs there"),
    ],
)
def test_what_else_a_table_states_is_checked(tmp_path: Path, name: str, array: np.ndarray, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        npz.read(written(tmp_path, "t.npz", {**arrays(COUNT), name: array}))


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((COUNT, 199)), np.zeros((COUNT, 200, 1)), np.zeros((COUNT - 1, 200)), np.zeros((COUNT, 0)),
        np.full((COUNT, 200), np.nan), np.array(1.0), np.array([["x"] * 200] * COUNT),
    ],
)  # fmt: skip
def test_vectors_of_a_later_kind_are_checked_as_the_first_are(vectors: np.ndarray) -> None:
    file = table(musicnn=vectors)
    with pytest.raises(UsageError, match="musicnn"):
        npz.read_kinds(file, file.table(), ("fma518", "musicnn"))


def test_a_version_may_hold_slashes_and_the_excerpt_is_what_follows_the_last() -> None:
    stated = npz.stated_kinds(table(kinds=np.array(["mert/m-a-p/MERT/1/mid30", "fma518/1/full"])))
    assert stated == {"mert": ("m-a-p/MERT/1", "mid30"), "fma518": ("1", "full")}


def test_labels_of_zeros_and_ones_mean_what_booleans_mean() -> None:
    plain = table().table()
    numbers = table(labels=arrays(COUNT)["labels"].astype(np.int8)).table()
    assert numbers.digest == plain.digest
    assert numbers.classes == CLASSES


def test_artists_in_words_and_in_numbers_make_the_same_groups() -> None:
    group = arrays(COUNT)["group"]
    words = np.array([f"artist {number:05}" for number in group])
    assert np.array_equal(table(group=words).table().groups, table().table().groups)
    data_of_words = {**arrays(COUNT), "group": words}
    assert table(**data_of_words).table().digest == table().table().digest


def test_numbers_name_artists_within_one_table_and_words_everywhere(tmp_path: Path) -> None:
    numbered = npz.read(written(tmp_path, "mine.npz", arrays(COUNT)))
    assert numbered.artists[0] == f"mine {arrays(COUNT)['group'][0]}"
    named = npz.read(written(tmp_path, "other.npz", {**arrays(COUNT), "group": np.array(["Can", "Neu!"] * 3)}))
    assert named.artists[:2] == ("Can", "Neu!")
