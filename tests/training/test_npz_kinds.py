"""Tables with vectors of several kinds: which version they are is stated, known, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import BundleError, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import TableFile, read_augmentations, read_table
from music_reclass.training import npz
from tests.training.synthetic import arrays, views_of, with_later_kinds, written


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))


def test_vectors_of_several_kinds_stand_side_by_side(tmp_path: Path) -> None:
    content = with_later_kinds(30, musicnn=200)
    data = npz.read(written(tmp_path, "t.npz", content), ("fma518", "musicnn"))

    assert [kind.key for kind in data.kinds] == ["fma518/1/mid30", "musicnn/1-425c7c95/mid30"]
    assert data.table.columns[517:519] == (COLUMNS[-1], "musicnn_000")
    assert np.array_equal(data.table.rows, np.concatenate([content["fma518"], content["musicnn"]], axis=1))
    alone = data.of(["fma518"])
    assert alone.table.columns == COLUMNS
    assert alone.kinds == (data.kind,)
    assert np.array_equal(data.of(["musicnn"]).table.rows, content["musicnn"])
    assert data.chosen(np.arange(30) < 4).kinds == data.kinds


def test_efficientat_and_its_tags_are_read_without_their_weights(tmp_path: Path) -> None:
    content = with_later_kinds(30, efficientat=384, efficientat_tags=527)
    path = written(tmp_path, "t.npz", content)

    assert npz.kinds_in(TableFile.read(path)) == ("fma518", "efficientat", "efficientat-tags")
    data = npz.read(path, ("fma518", "efficientat", "efficientat-tags"))

    assert [kind.key for kind in data.kinds[1:]] == [
        "efficientat/1-6842ddaa/mid30",
        "efficientat-tags/1-6842ddaa/mid30",
    ]
    assert np.array_equal(data.of(["efficientat-tags"]).table.rows, content["efficientat_tags"])


def test_what_a_table_states_of_its_vectors_is_taken(tmp_path: Path) -> None:
    stated = np.array(["mert/1-l7-norm-0123abcd/full", "fma518/1/full"])
    path = written(tmp_path, "t.npz", with_later_kinds(30, mert=16) | {"kinds": stated})

    data = npz.read(path, ("fma518", "mert"))

    assert [kind.key for kind in data.kinds] == ["fma518/1/full", "mert/2-l7-norm-0123abcd/full"]
    assert data.kinds[1].dimension == 16


def test_a_version_that_nobody_knows_is_refused_not_guessed(tmp_path: Path) -> None:
    path = written(tmp_path, "t.npz", with_later_kinds(30, mert=768))

    with pytest.raises(UsageError, match="Which version of mert made these vectors is not stated"):
        npz.read(path, ("fma518", "mert"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"musicnn": np.zeros((30, 199), np.float32)}, "belong there"),
        ({"musicnn": np.zeros((29, 200), np.float32)}, "belong there"),
        ({"musicnn": np.full((30, 200), np.nan, np.float32)}, "not finite"),
        ({"kinds": np.array(["musicnn"])}, "NAME/VERSION/EXCERPT"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    path = written(tmp_path, "t.npz", with_later_kinds(30, musicnn=200) | change)

    with pytest.raises(UsageError, match=sentence):
        npz.read(path, ("fma518", "musicnn"))


def test_a_kind_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="features --kind musicnn"):
        npz.read(written(tmp_path, "t.npz", arrays(30)), ("fma518", "musicnn"))


def test_rows_of_another_version_are_not_given_to_a_bundle(tmp_path: Path) -> None:
    other = with_later_kinds(30, musicnn=200) | {"kinds": np.array(["musicnn/1-ffffffff/mid30"])}
    path = written(tmp_path, "t.npz", other)
    wanted = (npz.kind_of("fma518", 518), npz.MUSICNN)

    with pytest.raises(BundleError, match="cannot be compared"):
        npz.rows_for(wanted, TableFile.read(path), read_table(path))


def test_an_augmentation_stands_beside_the_clean_vectors_of_the_later_kinds(tmp_path: Path) -> None:
    content = with_later_kinds(30, musicnn=200)
    path = written(tmp_path, "t.npz", content)
    augmentations = read_augmentations(written(tmp_path, "v.npz", views_of(content)), read_table(path))
    wide = npz.read(path, ("fma518", "musicnn"))

    found = wide.with_augmentations(augmentations)

    assert found.augmentations is not None
    rows = found.augmentations.rows
    assert np.array_equal(rows[:, 1, :518], augmentations.rows[:, 1])
    assert all(np.array_equal(rows[:, number, 518:], content["musicnn"]) for number in (0, 1))
    alone = found.of(["fma518"]).chosen(np.arange(30) < 3).augmentations
    assert alone is not None
    assert np.array_equal(alone.rows, augmentations.rows[:3])
    assert wide.with_augmentations(None).augmentations is None


def test_a_table_is_opened_once_however_many_kinds_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = with_later_kinds(30, musicnn=200) | {"split": np.full(30, ""), "kinds": np.array(["musicnn/1-x/mid30"])}
    path = written(tmp_path, "t.npz", content)
    load, opened = np.load, []
    monkeypatch.setattr(np, "load", lambda *args, **more: opened.append(args) or load(*args, **more))

    assert npz.read(path, ("fma518", "musicnn")).kinds[1].version == "1-x"
    assert len(opened) == 1
