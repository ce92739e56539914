"""Genre words of any source become the taxonomy's, and scarce ones count as what lies above them."""

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.models.vocabulary import label_sets, require_known
from music_reclass.taxonomy import load

TAXONOMY = load()


def test_spellings_and_several_genres_in_one_tag_make_one_set() -> None:
    classes, labels, _ = label_sets([("hip hop; rnb",), ("Rock",)], TAXONOMY)

    assert set(classes) == {"Hip-Hop", "Soul-RnB", "Rock"}
    assert labels.sum(axis=1).tolist() == [2, 1]


def test_a_scarce_genre_counts_as_its_parent_and_a_frequent_one_stays() -> None:
    tags = [("Shoegaze",)] * 2 + [("Metal",)] * 5 + [("Rock",)] * 5

    classes, labels, notes = label_sets(tags, TAXONOMY, least=4)

    assert set(classes) == {"Metal", "Rock"}
    assert labels[0, classes.index("Rock")]
    assert "Shoegaze as Rock" in notes[0]


def test_a_scarce_root_is_left_out_and_said() -> None:
    classes, labels, notes = label_sets([("Jazz",)] + [("Rock",)] * 5, TAXONOMY, least=4)

    assert classes == ("Rock",)
    assert not labels[0].any()
    assert any("Jazz (1)" in note for note in notes)
    assert any("1 of 6 rows" in note for note in notes)


def test_words_that_are_no_genre_are_named() -> None:
    _, labels, notes = label_sets([("Zorblax",), ("Other",), ("Rock",)], TAXONOMY)

    assert labels.any(axis=1).tolist() == [False, False, True]
    assert any("Zorblax (1)" in note for note in notes)
    assert not any("Other" in note for note in notes)


def test_roots_on_request() -> None:
    assert label_sets([("Metal",), ("Shoegaze",)], TAXONOMY, roots=True)[0] == ("Rock",)


def test_scarce_cousins_meet_in_a_parent_that_has_enough() -> None:
    tags = [("Shoegaze",)] * 2 + [("Grunge",)] * 2 + [("Jazz",)] * 4
    classes, labels, notes = label_sets(tags, TAXONOMY, least=4)
    assert set(classes) == {"Rock", "Jazz"}
    assert labels[:4, classes.index("Rock")].all()
    assert "Grunge as Rock" in notes[0]
    assert "Shoegaze as Rock" in notes[0]


def test_only_rows_that_can_be_used_count_as_support() -> None:
    tags = [("Jazz",)] * 4 + [("Rock",)] * 4
    counted = np.array([True, False, False, False] + [True] * 4)
    assert label_sets(tags, TAXONOMY, least=2, counted=counted)[0] == ("Rock",)
    assert set(label_sets(tags, TAXONOMY, least=2)[0]) == {"Rock", "Jazz"}


def test_classes_that_are_no_genres_are_named_before_anything_is_trained() -> None:
    require_known(("Jazz", "hip hop"), TAXONOMY)
    with pytest.raises(UsageError, match="no genre Zorblax, Quux"):
        require_known(("Jazz", "Zorblax", "Quux"), TAXONOMY)
    with pytest.raises(UsageError, match="and 4 more"):
        require_known([f"Zorblax {number}" for number in range(12)], TAXONOMY)


def test_genres_that_are_kept_are_classes_however_few_rows_they_have() -> None:
    tags = [("Shoegaze",), ("Jazz",)] + [("Rock",)] * 5

    classes, labels, notes = label_sets(tags, TAXONOMY, least=4, kept=("Jazz", "Blues"))

    assert set(classes) == {"Blues", "Jazz", "Rock"}
    assert labels[0, classes.index("Rock")]
    assert labels[1, classes.index("Jazz")]
    assert not labels[:, classes.index("Blues")].any()
    assert len(notes) == 1


def test_a_genre_of_too_few_artists_counts_as_its_parent_however_many_rows_it_has() -> None:
    genres = [["Shoegaze"]] * 6 + [["Punk"]] * 3 + [["Rock"], ["Jazz"], ["Jazz"]]
    artists = ["one"] * 6 + ["two", "three", "four"] + ["five", "six", "seven"]
    classes, labels, notes = label_sets(genres, load(), groups=artists, artists=2)
    assert set(classes) == {"Rock", "Punk", "Jazz"}
    assert labels[:, classes.index("Rock")].sum() == 7
    assert any("fewer than 2 artists, counted as what lies above: Shoegaze as Rock" in note for note in notes)
    alone = label_sets(genres, load(), groups=[""] * 12, artists=2)[0]  # each row by an artist of its own
    assert "Shoegaze" in alone
