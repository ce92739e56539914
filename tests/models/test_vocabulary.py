"""One's own genre words become the taxonomy's, and scarce ones count as what lies above them."""

from music_reclass.models.vocabulary import label_sets
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
