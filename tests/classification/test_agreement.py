"""A tag agrees with a genre where one contains the other, and an unknown tag says nothing."""

import pytest

from music_reclass.classification.agreement import TagAgreement
from music_reclass.taxonomy import load

TREE = load()
TAGS = TagAgreement(TREE, ("Rock", "Jazz", "Pop"))


@pytest.mark.parametrize(
    ("genre", "tags", "agrees"),
    [
        ("Rock", ("rock",), True),
        ("Rock", ("Shoegaze",), True),  # finer than the decision
        ("Shoegaze", ("Rock",), True),  # coarser
        ("Rock", ("Jazz", "Hard Rock"), True),  # one of several
        ("Rock", ("Jazz; Pop",), False),
        ("Rock", ("Other",), None),
        ("Rock", ("Zorblax",), None),  # unknown: neither right nor wrong
        ("Rock", ("Zorblax", "Jazz"), False),
        ("Rock", (), None),
    ],
)
def test_a_tag_agrees_with_what_contains_it_or_lies_in_it(
    genre: str, tags: tuple[str, ...], agrees: bool | None
) -> None:
    assert TAGS.agrees(genre, tags) is agrees
    assert TAGS.agrees(genre, tags) is agrees  # remembered


def test_a_tag_counts_as_the_label_above_it_else_as_its_root() -> None:
    assert TAGS.counted_as(("Shoegaze",)) == "Rock"
    assert TAGS.counted_as(("Jazz",)) == "Jazz"
    assert TAGS.counted_as(("Delta Blues",)) == "Blues"
    assert TAGS.counted_as(("Other", "Zorblax")) is None
