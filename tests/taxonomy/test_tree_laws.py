"""What holds for every genre and any tag: names settle, the tree has no loops, and a finer tag is never coarsened."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import Relation
from music_reclass.taxonomy import audit, load
from music_reclass.taxonomy.tree import key

TREE = load()
GENRES = st.sampled_from(TREE.labels)
JUNK = st.sampled_from(["", "Other", "genre", "255", "www.example.com", "Unknown", "-"])
NAMES = st.one_of(
    GENRES, JUNK, st.sampled_from(["Nonsensecore", "17", "(17)", "house music", "80s"]), st.text(max_size=12)
)


def people_write(name: str, choice: int) -> str:
    """One of the ways in which people spell the same name."""
    ways = [
        name.upper(), name.lower(), name.replace("-", " "), name.replace(" ", "-"), f"  {name} ",
        name.replace(" & ", "&"), name.replace("&", "and"),
        "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c != "/" else c for c in name),
    ]  # fmt: skip
    return ways[choice % len(ways)]


@given(st.text(st.characters(max_codepoint=127), max_size=12))
def test_a_name_in_ascii_is_told_apart_as_any_other(name: str) -> None:
    assert key("e" + name) == key("é" + name)
    assert key(name + " e") == key(name + " é")


@given(NAMES)
def test_a_canonical_name_and_the_name_that_would_be_written_are_read_as_the_same_genre(name: str) -> None:
    genre = TREE.canonical(name)
    if genre is None:
        return
    assert TREE.canonical(genre) == genre
    assert TREE.canonical(TREE.display(name)) == genre
    assert TREE.written(name) == TREE.written(genre)
    assert not TREE.is_junk(name)


@given(GENRES, st.integers(0, 7))
def test_a_genre_is_known_in_every_way_that_people_write_it(genre: str, way: int) -> None:
    assert TREE.canonical(people_write(genre, way)) == genre
    assert TREE.relation(genre, (people_write(genre, way),)) is Relation.AGREE


def test_every_spelling_of_the_shipped_tree_is_read_as_its_genre() -> None:
    assert {spelling: TREE.canonical(spelling) for spelling in TREE.spellings} == dict(TREE.spellings)


@given(GENRES)
def test_ancestors_are_those_of_the_parents_and_the_parents_themselves(genre: str) -> None:
    parents = TREE.parents[genre]
    wanted = set(parents).union(*(TREE.ancestors(parent) for parent in parents))
    above = TREE.ancestors(genre)
    assert set(above) == wanted
    assert len(above) == len(set(above))
    assert above[: len(parents)] == parents
    assert genre not in above
    assert (TREE.parent(genre) is None) == (genre in TREE.roots) == (above == ())


@given(GENRES, GENRES)
def test_only_one_of_two_genres_refines_the_other(one: str, other: str) -> None:
    there, back = TREE.relation(one, (other,)), TREE.relation(other, (one,))
    if there is Relation.REFINE:
        assert back is Relation.AGREE
    elif there is Relation.CONFLICT:
        assert back is Relation.CONFLICT
    else:
        assert back is (Relation.AGREE if one == other else Relation.REFINE)


@given(st.data())
def test_a_tag_below_the_decision_always_agrees_with_it(data: st.DataObject) -> None:
    fine = data.draw(GENRES.filter(lambda genre: genre not in TREE.roots))
    coarse = data.draw(st.sampled_from(TREE.ancestors(fine)))
    others = data.draw(st.lists(NAMES, max_size=3))
    tags = data.draw(st.permutations([fine, *others]))
    assert TREE.relation(coarse, tags) is Relation.AGREE
    assert TREE.relation(fine, (coarse,)) is Relation.REFINE


@settings(max_examples=200)
@given(GENRES, st.lists(NAMES, min_size=1, max_size=4), st.data())
def test_the_relation_depends_neither_on_order_nor_on_repetition(
    genre: str, tags: list[str], data: st.DataObject
) -> None:
    relation = TREE.relation(genre, tags)
    assert TREE.relation(genre, data.draw(st.permutations(tags))) is relation
    assert TREE.relation(genre, tags * 2) is relation


@given(GENRES, st.lists(NAMES, min_size=1, max_size=4), st.lists(JUNK, max_size=3))
def test_values_that_say_nothing_change_no_relation(genre: str, tags: list[str], junk: list[str]) -> None:
    assert TREE.relation(genre, [*junk, *tags]) is TREE.relation(genre, tags)


@given(GENRES, st.lists(NAMES, min_size=1, max_size=4), GENRES)
def test_one_more_value_never_makes_an_agreement_a_conflict(genre: str, tags: list[str], more: str) -> None:
    order = [Relation.JUNK, Relation.CONFLICT, Relation.REFINE, Relation.AGREE]
    before, after = TREE.relation(genre, tags), TREE.relation(genre, [*tags, more])
    assert order.index(after) >= order.index(before)


JOINED = st.tuples(st.sampled_from(["; ", "/", ", ", "|", "\0", ""]), st.lists(NAMES, max_size=4)).map(
    lambda parts: parts[0].join(parts[1])
)


@given(st.one_of(st.text(max_size=40), JOINED))
def test_names_that_were_split_are_split_no_further(value: str) -> None:
    names = TREE.split(value)
    assert len(names) == len(set(names))
    assert all(name.strip() == name != "" for name in names)
    recognised = [name for name in names if TREE.canonical(name) is not None]
    assert [TREE.split(name) for name in recognised] == [[name] for name in recognised]


@given(st.integers(0, 999))
def test_a_number_is_the_genre_that_id3_gave_it_with_or_without_brackets(number: int) -> None:
    genre = TREE.canonical(TREE.id3v1[number]) if number < len(TREE.id3v1) else None
    if key(str(number)) not in TREE.spellings and key(str(number)) not in TREE.junk:
        assert TREE.canonical(str(number)) == TREE.canonical(f"({number})") == genre


def test_a_field_too_long_to_look_through_is_left_to_its_owner() -> None:
    assert TREE.relation("Rock", ["Other"] * 64) is Relation.JUNK
    assert TREE.relation("Rock", ["Other"] * 65) is Relation.CONFLICT
    assert TREE.relation("Rock", ["Shoegaze", *["Other"] * 900]) is Relation.AGREE


@given(st.lists(st.tuples(st.one_of(NAMES, JOINED), st.integers(1, 9)), max_size=8))
def test_an_audit_counts_every_track_once_and_leaves_no_name_unexplained(values: list[tuple[str, int]]) -> None:
    rows = audit(TREE, values)
    assert sum(row.count for row in rows) == sum(count for _, count in values)
    assert {row.value for row in rows} == {value for value, _ in values}
    assert [row.count for row in rows] == sorted((row.count for row in rows), reverse=True)
    for row in rows:
        for name in TREE.split(row.value):
            assert TREE.is_junk(name) or name in row.unmapped or TREE.canonical(name) in row.genres
        assert (row.status == "mapped") == (bool(row.genres) and not row.unmapped)
        relation = TREE.relation("Rock", [row.value])
        assert (row.status == "junk") == (relation is Relation.JUNK)


FRESH = st.from_regex(r"Zz[a-z]{3,8}core", fullmatch=True)


@settings(max_examples=15, deadline=None)
@given(genre=FRESH, parent=GENRES)
def test_a_users_genre_changes_nothing_but_what_lies_below_its_parent(
    tmp_path_factory, genre: str, parent: str
) -> None:
    file = Path(tmp_path_factory.getbasetemp()) / "mine.toml"
    file.write_text(f'[genres]\n"{parent}" = ["{genre}"]\n', encoding="utf-8")
    mine = load(file)
    assert set(mine.labels) - set(TREE.labels) == {genre}
    assert mine.ancestors(genre) == (parent, *TREE.ancestors(parent))
    assert mine.relation(parent, (genre.upper(),)) is Relation.AGREE
    assert {name: mine.parents[name] for name in TREE.labels} == dict(TREE.parents)
    assert {name: mine.canonical(name) for name in TREE.spellings} == dict(TREE.spellings)
    assert mine.digest != TREE.digest


def homes_above(genre: str) -> list[str]:
    """The way up from a genre along first parents alone."""
    above = TREE.parents[genre][:1]
    return [above[0], *homes_above(above[0])] if above else []


@settings(max_examples=15, deadline=None)
@given(st.sets(GENRES, max_size=12))
def test_a_dropped_genre_is_written_as_the_nearest_home_above_it_that_is_kept(
    tmp_path_factory, dropped: set[str]
) -> None:
    file = Path(tmp_path_factory.getbasetemp()) / "mine.toml"
    names = ", ".join(f'"{genre}"' for genre in sorted(dropped))
    file.write_text(f"[drop]\nvalues = [{names}]\n", encoding="utf-8")
    mine = load(file)
    for genre in mine.labels:
        kept = [name for name in (genre, *homes_above(genre)) if name not in dropped]
        assert mine.written(genre) == (mine.display(kept[0]) if kept else None)
