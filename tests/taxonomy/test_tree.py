"""Names resolve, values split and genres relate as a person with a library would expect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.domain import Relation
from music_reclass.taxonomy import load

TREE = load()


@pytest.mark.parametrize(
    ("name", "genre"),
    [
        ("R&B", "Soul-RnB"),
        ("rnb", "Soul-RnB"),
        ("R'n'B", "Soul-RnB"),
        ("hip hop", "Hip-Hop"),
        ("Hip Hop/Rap", "Hip-Hop"),
        ("Rap", "Rap"),
        ("D&B", "Drum & Bass"),
        ("Drum n Bass", "Drum & Bass"),
        ("Alt. Rock", "Alternative Rock"),
        ("Electronica", "Electronic"),
        ("World", "International"),
        ("Classical music", "Classical"),
        ("house music", "House"),
        ("Old-Time / Historic", "Old-Time"),
        ("Reggae - Dub", "Reggae"),
        ("17", "Rock"),
        ("(17)", "Rock"),
        ("ロック", "Rock"),
    ],
)
def test_common_spellings_are_known(name: str, genre: str) -> None:
    assert TREE.canonical(name) == genre


@pytest.mark.parametrize("name", ["Nonsensecore", "Other", "12", "192", "999", "1999", "", "80s"])
def test_what_is_no_known_genre_has_no_canonical_name(name: str) -> None:
    assert TREE.canonical(name) is None


@pytest.mark.parametrize(
    "name",
    "Other|unknown|<Unknown>|Misc.|genre|Undefined|None|no genre|Various|Audio|Music|default||  |-|12|192|255|2007|(12)"
    "|http://x.y|www.site.com|a@b.cd|N/A|その他|1999/2000".split("|"),
)
def test_values_that_say_nothing_are_junk(name: str) -> None:
    assert TREE.is_junk(name)


@pytest.mark.parametrize("name", ["Rock", "17", "Nonsensecore", "80s", "Unclassifiable", "2 Tone"])
def test_a_real_or_unknown_genre_is_not_junk(name: str) -> None:
    assert not TREE.is_junk(name)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("Rock; Pop/Folk", ["Rock", "Pop", "Folk"]),
        ("Old-Time / Historic", ["Old-Time / Historic"]),
        ("R&B; Soul", ["R&B; Soul"]),
        ("Folk, World, & Country", ["Folk, World, & Country"]),
        ("Rock; Old-Time / Historic; R&B; Soul", ["Rock", "Old-Time / Historic", "R&B; Soul"]),
        ("Rock\0Pop", ["Rock", "Pop"]),
        ("Rock|Pop\\Jazz", ["Rock", "Pop", "Jazz"]),
        ("Folk/Rock", ["Folk", "Rock"]),
        ("Other/Unknown", ["Other", "Unknown"]),
        ("Foo/Bar", ["Foo/Bar"]),
        ("http://a.b/c", ["http://a.b/c"]),
        ("N/A", ["N/A"]),
        ("(4)Eurodisco", ["Disco", "Eurodisco"]),
        ("(51)(39)", ["Techno-Industrial", "Noise"]),
        ("(17)", ["(17)"]),
        ("(RX)", ["Remix"]),
        ("Rock; Rock", ["Rock"]),
        ("12; 17", ["12", "17"]),
        ("2001/12/17", ["2001/12/17"]),
        ("", []),
        (" ; ", []),
    ],
)
def test_a_value_is_split_into_names_and_known_names_stay_whole(value: str, names: list[str]) -> None:
    assert TREE.split(value) == names


@pytest.mark.parametrize(
    ("decided", "existing", "relation"),
    [
        ("Rock", None, Relation.FILL),
        ("Rock", (), Relation.FILL),
        ("Rock", ("",), Relation.JUNK),
        ("Rock", ("Other", "genre"), Relation.JUNK),
        ("Rock", ("Other; 255",), Relation.JUNK),
        ("Rock", ("rock",), Relation.AGREE),
        ("Rock", ("(17)",), Relation.AGREE),
        ("Rock", ("Shoegaze",), Relation.AGREE),
        ("Rock", ("Black Metal",), Relation.AGREE),
        ("Rock", ("Jazz/Shoegaze",), Relation.AGREE),
        ("Soul-RnB", ("Disco",), Relation.AGREE),
        ("International", ("Reggae",), Relation.AGREE),
        ("Electronic", ("Ambient",), Relation.AGREE),
        ("Latin", ("Salsa",), Relation.AGREE),
        ("Folk", ("Folk-Rock",), Relation.AGREE),
        ("Shoegaze", ("Rock",), Relation.REFINE),
        ("Reggae", ("World",), Relation.REFINE),
        ("Ambient", ("Electronica",), Relation.REFINE),
        ("Shoegaze", ("Rock", "Jazz"), Relation.REFINE),
        ("Rock", ("Jazz",), Relation.CONFLICT),
        ("Rock", ("Pop",), Relation.CONFLICT),
        ("Rock", ("Nonsensecore",), Relation.CONFLICT),
        ("Rock", ("Nonsensecore", "Other"), Relation.CONFLICT),
        ("Nonsensecore", ("nonsense core",), Relation.AGREE),
        ("Nonsensecore", ("Rock",), Relation.CONFLICT),
    ],
)
def test_a_decision_relates_to_the_tag_by_the_tree(
    decided: str, existing: tuple[str, ...] | None, relation: Relation
) -> None:
    assert TREE.relation(decided, existing) is relation


def test_parents_ancestors_and_descendants() -> None:
    assert TREE.parent("Shoegaze") == "Rock"
    assert TREE.parent("Rock") is None
    assert TREE.ancestors("Salsa") == ("Latin America", "International", "Latin")
    assert TREE.is_descendant("black metal", "rock")
    assert not TREE.is_descendant("Rock", "Rock")
    assert not TREE.is_descendant("Rock", "Black Metal")
    with pytest.raises(ValueError, match="Nonsensecore"):
        TREE.parent("Nonsensecore")


@given(st.sampled_from(TREE.labels), st.sampled_from(TREE.labels))
def test_relation_is_sane_for_any_two_genres(decided: str, existing: str) -> None:
    relation = TREE.relation(decided, (existing,))
    assert (relation is Relation.REFINE) == TREE.is_descendant(decided, existing)
    assert (relation is Relation.AGREE) == (decided == existing or TREE.is_descendant(existing, decided))
    assert not (TREE.is_descendant(decided, existing) and TREE.is_descendant(existing, decided))


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_tag_has_a_relation_and_every_name_in_it_is_kept(existing: list[str]) -> None:
    relation = TREE.relation("Rock", existing)
    assert (relation is Relation.FILL) == (not existing)


@given(
    st.lists(st.sampled_from(TREE.labels), min_size=1, max_size=5, unique=True),
    st.sampled_from(["; ", "|", "\0", "\\"]),
)
def test_joining_genres_and_splitting_them_loses_none(genres: list[str], mark: str) -> None:
    assert {TREE.canonical(name) for name in TREE.split(mark.join(genres))} == set(genres) or TREE.canonical(
        mark.join(genres)
    )
