"""Feature tables are read right, or refused in one sentence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.domain import FeatureKind
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import (
    TEST,
    TRAINING,
    Augmentations,
    Dataset,
    Raw,
    fma518,
    read_augmentations,
    read_table,
    select_columns,
    to_dataset,
)
from music_reclass.taxonomy import load
from tests.training.synthetic import CLASSES, arrays, views_of, written


def test_a_table_comes_back_with_label_sets_and_artists_counted_from_zero(tmp_path: Path) -> None:
    content = arrays(30)
    table = read_table(written(tmp_path, "t.npz", content))
    assert len(table) == 30
    assert table.classes == CLASSES
    assert np.array_equal(table.rows, content["fma518"])
    assert sorted(set(table.groups.tolist())) == list(range(10))
    assert set(table.datasets.tolist()) <= {"one", "two"}


def test_columns_in_another_order_are_put_right_by_name(tmp_path: Path) -> None:
    content = arrays(12)
    order = np.random.default_rng(1).permutation(len(COLUMNS))
    shuffled = {**content, "fma518": content["fma518"][:, order], "columns": content["columns"][order]}
    assert np.array_equal(read_table(written(tmp_path, "s.npz", shuffled)).rows, content["fma518"])


def test_a_table_without_labels_serves_predictions(tmp_path: Path) -> None:
    content = arrays(5)
    table = read_table(written(tmp_path, "p.npz", {key: content[key] for key in ("fma518", "columns")}))
    assert table.classes == ()
    assert table.rows.shape == (5, 518)
    assert table.notes == ()


def test_without_artists_each_row_is_its_own_and_the_notes_say_so(tmp_path: Path) -> None:
    content = arrays(9)
    del content["group"], content["dataset"]
    table = read_table(written(tmp_path, "g.npz", content))
    assert len(set(table.groups.tolist())) == 9
    assert any("names no artists" in note for note in table.notes)


def test_scarce_genres_are_noted(tmp_path: Path) -> None:
    assert any("fewer than 20" in note for note in read_table(written(tmp_path, "t.npz", arrays(9))).notes)


def _broken(**changes: object) -> dict[str, object]:
    return {**arrays(6), **changes}


NAN = arrays(6)["fma518"].copy()
NAN[4, 7] = np.nan
UNLABELLED = arrays(6)["labels"].copy()
UNLABELLED[2] = False


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_broken(fma518=NAN), "the first is row 4"),
        (_broken(labels=UNLABELLED), "the first is row 2"),
        (_broken(columns=np.array(COLUMNS[:-1])), "lacks zcr_std_01"),
        (_broken(columns=np.array((*COLUMNS[:-1], COLUMNS[0]))), "lacks zcr_std_01"),
        (_broken(fma518=np.zeros((6, 140), np.float32)), "518 names for 140"),
        (_broken(fma518=np.zeros(518, np.float32)), "2 dimensions"),
        (_broken(fma518=np.zeros((0, 518), np.float32)), "at least one row"),
        (_broken(classes=np.array(["Jazz", "Pop"])), "have the shape"),
        (_broken(classes=np.array(["Jazz", "Pop", "Pop", "Rock"])), "for each different name"),
        (_broken(group=np.arange(5)), "must be (6,)"),
        (_broken(fma518=np.array([["x"] * 518] * 6)), "must hold numbers"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_what_is_wrong(
    tmp_path: Path, content: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_table(written(tmp_path, "b.npz", content))
    assert words in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        read_table(tmp_path / "absent.npz")
    text = tmp_path / "text.npz"
    text.write_text("not a table")
    with pytest.raises(UsageError):
        read_table(text)
    single = tmp_path / "single.npy"
    np.save(single, np.zeros(3))
    with pytest.raises(UsageError, match="single array"):
        read_table(single)
    with pytest.raises(UsageError, match="lacks the array `fma518`"):
        read_table(written(tmp_path, "empty.npz", {"columns": np.array(COLUMNS)}))


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, **{**arrays(3), "group": np.array([{}, {}, {}], dtype=object)}, allow_pickle=True)
    with pytest.raises(UsageError):
        read_table(path)


def test_views_belong_to_their_rows(tmp_path: Path) -> None:
    content = arrays(12)
    table = read_table(written(tmp_path, "t.npz", content))
    augmentations = read_augmentations(written(tmp_path, "v.npz", views_of(content)), table)
    assert augmentations.names == ("quiet", "bright")
    assert augmentations.chosen(np.arange(3)).rows.shape == (3, 2, 518)
    with pytest.raises(UsageError, match="same rows"):
        read_augmentations(written(tmp_path, "w.npz", views_of(arrays(9))), table)
    with pytest.raises(UsageError, match="names 1 views"):
        read_augmentations(written(tmp_path, "x.npz", {**views_of(content), "views": np.array(["quiet"])}), table)


def test_equal_tables_have_equal_digests_and_others_do_not(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "t.npz", arrays(12)))
    again = read_table(written(tmp_path, "u.npz", arrays(12)))
    assert table.digest == again.digest
    assert table.digest != table.chosen(np.arange(11)).digest


def test_an_array_whose_compressed_bytes_are_damaged_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, **arrays(20))
    content = bytearray(path.read_bytes())
    content[200:4000] = bytes(3800)
    path.write_bytes(bytes(content))
    with pytest.raises(UsageError, match="not a feature table"):
        read_table(path)


LATER = FeatureKind("later", "1", 3, "mid30")


def raw(count: int = 12, **more: Any) -> Raw:
    """Rows of artists of three, in turn Jazz and Rock."""
    rows = np.arange(count * 518, dtype=np.float32).reshape(count, 518)
    genres = [("Jazz",) if number % 2 else ("Rock",) for number in range(count)]
    artists = [f"artist {number // 3}" for number in range(count)]
    return replace(Raw("made", rows, genres, artists, [f"{n}.flac" for n in range(count)], fma518("mid30")), **more)


def both(count: int = 12) -> Dataset:
    """The same with the vectors of a later kind beside."""
    made = raw(count)
    later = -np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    return to_dataset(replace(made, rows=np.concatenate([made.rows, later], axis=1), more=(LATER,)), load())


def test_rows_without_features_or_genre_are_left_out_and_counted() -> None:
    made = raw()
    made.rows[3, 7] = np.nan
    genres = [("Zorblax",), *made.genres[1:]]
    data = to_dataset(replace(made, genres=genres), load())
    assert data.names == tuple(f"{number}.flac" for number in range(12) if number not in (0, 3))
    assert set(data.table.classes) == {"Jazz", "Rock"}
    assert any("1 rows hold no finite features" in note for note in data.table.notes)
    assert any("Zorblax" in note for note in data.table.notes)
    with pytest.raises(UsageError, match="no row with features and a genre"):
        to_dataset(replace(made, genres=[("Zorblax",)] * 12), load())


def test_rows_without_an_artist_stand_for_themselves() -> None:
    data = to_dataset(raw(groups=[""] * 12), load())
    assert len(set(data.table.groups.tolist())) == 12
    assert data.artists == ()
    assert "no artists are known" in data.leaks()[0]


def test_artists_on_both_sides_of_an_official_split_are_said() -> None:
    sides = [TRAINING, TRAINING, TEST] * 4
    assert to_dataset(raw(split=sides), load()).leaks() == (
        "4 of 4 test rows are of artists that are in the training part too",
    )
    assert to_dataset(raw(split=[TRAINING] * 6 + [TEST] * 6), load()).leaks() == ()


def test_the_vectors_of_some_kinds_can_be_taken_from_all() -> None:
    data = both()
    assert data.of(["fma518", "later"]) is data
    later = data.of(["later"])
    assert later.kinds == (LATER,)
    assert later.table.columns == ("later_000", "later_001", "later_002")
    assert later.table.rows[1].tolist() == [-3.0, -4.0, -5.0]
    with pytest.raises(KeyError):
        data.of(["mert"])


def test_augmentations_of_the_518_columns_get_the_clean_later_vectors_beside() -> None:
    data = both()
    quiet = Augmentations(("quiet",), data.table.rows[:, None, :518] / 2)
    found = data.with_augmentations(quiet).augmentations
    assert found is not None
    assert found.rows.shape == (12, 1, 521)
    np.testing.assert_array_equal(found.rows[:, 0, 518:], data.table.rows[:, 518:])
    alone = data.with_augmentations(quiet).of(["fma518"]).augmentations
    assert alone is not None
    np.testing.assert_array_equal(alone.rows, quiet.rows)


def test_an_augmentation_that_could_not_be_made_gives_way_to_the_clean_row() -> None:
    rows = np.ones((2, 4), dtype=np.float32)
    changed = np.array([[[2.0] * 4], [[np.nan] * 4]], dtype=np.float32)
    assert Augmentations(("noise",), changed).completed(rows).rows[:, 0, 0].tolist() == [2.0, 1.0]


def test_a_part_of_the_rows_keeps_names_artists_and_augmentations_in_step() -> None:
    data = to_dataset(raw(), load())
    data = data.with_augmentations(Augmentations(("loud",), data.table.rows[:, None] * 2))
    part = data.chosen(np.arange(12) % 4 == 0)
    assert part.names == ("0.flac", "4.flac", "8.flac")
    assert part.artists == ("artist 0", "artist 1", "artist 2")
    assert part.augmentations is not None
    np.testing.assert_array_equal(part.augmentations.rows[:, 0], part.table.rows * 2)


def test_columns_are_chosen_by_name_in_rows_and_augmentations_alike() -> None:
    data = to_dataset(raw(), load())
    data = data.with_augmentations(Augmentations(("loud",), data.table.rows[:, None] * 2))
    narrow = select_columns(data, ["mfcc_mean*", "zcr_mean*"])
    assert len(narrow.table.columns) == 21
    assert narrow.augmentations is not None
    np.testing.assert_array_equal(narrow.augmentations.rows[:, 0], narrow.table.rows * 2)
    with pytest.raises(UsageError, match="No column matches"):
        select_columns(data, ["nothing*"])
    with pytest.raises(UsageError, match="fma518 alone"):
        select_columns(both(), ["mfcc*"])
