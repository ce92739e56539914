"""`genres audit` counts every value as it stands in the files, and `genres list` shows the tree it goes by."""

from __future__ import annotations

from pathlib import Path

import pytest

from music_reclass.taxonomy import load
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell


@pytest.fixture
def tagged(library: DecidedLibrary) -> DecidedLibrary:
    library.add(
        Tune("1.mp3", tags=("Rock",)),
        Tune("2.mp3", tags=("Rock", "Zorblax\x1b[31m")),
        Tune("3.mp3", tags=("Hiphop",)),
        Tune("4.mp3", tags=("Other",)),
        Tune("5.mp3", tags=None),
    )
    return library


def test_each_value_is_counted_and_says_what_it_stands_for(tagged: DecidedLibrary, shell: Shell) -> None:
    assert shell("genres", "audit", "--json") == 0
    assert all(set(row) == {"value", "tracks", "status", "genres"} for row in shell.objects())
    found = {row["value"]: (row["tracks"], row["genres"]) for row in shell.objects()}
    assert found == {
        "Rock": (2, ["Rock"]),
        "Zorblax\x1b[31m": (1, []),
        "Hiphop": (1, ["Hip-Hop"]),
        "Other": (1, []),
    }
    assert len({row["status"] for row in shell.objects()}) == 3  # known, unknown and junk


def test_people_get_one_line_a_value_and_a_sum(tagged: DecidedLibrary, shell: Shell) -> None:
    assert shell("genres", "audit") == 0
    *lines, last = shell.out.splitlines()
    assert len(lines) == 4
    assert "Zorblax\\x1b[31m" in shell.out
    assert "\x1b" not in shell.out
    assert last.startswith("genres    4 distinct values: ")


def test_one_value_is_one_value_and_a_long_one_is_cut(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("1.mp3", tags=("x" * 300,)))
    assert shell("genres", "audit") == 0
    line, last = shell.out.splitlines()
    assert line.count("x") == 39
    assert "…" in line
    assert last.startswith("genres    1 distinct value: 1 ")


def test_a_taxonomy_over_the_built_in_one_knows_more(tagged: DecidedLibrary, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text('[genres]\n"Rock" = ["Nu Zorb"]\n[aliases]\n"Nu Zorb" = ["Hiphop Zorb"]\n')
    tagged.add(Tune("6.mp3", tags=("Hiphop Zorb",)))
    assert shell("genres", "audit", "--taxonomy", tmp_path / "more.toml", "--json") == 0
    found = {row["value"]: row["genres"] for row in shell.objects()}
    assert found["Hiphop Zorb"] == ["Nu Zorb"]


def test_the_list_is_indented_as_deep_as_a_genre_lies_and_holds_each_once(shell: Shell) -> None:
    assert shell("genres", "list") == 0
    taxonomy = load()
    shown = [(line.strip(), len(line) - len(line.lstrip())) for line in shell.out.splitlines()]
    assert sorted(name for name, _ in shown) == sorted(taxonomy.labels)
    depth = dict(shown)
    for name in taxonomy.labels:
        parent = taxonomy.parent(name)
        assert depth[name] == (0 if parent is None else depth[parent] + 2), name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[genres", "not valid TOML"),
        ('[genres]\n"Rock" = ["A/B"]\n', "A/B"),
        ('[genres]\n"Nowhere" = ["Nu Zorb"]\n', "Nowhere"),
        ('[genres]\n"Rock" = "Nu Zorb"\n', "a list of texts"),
        ('[colours]\n"Rock" = "red"\n', "colours"),
    ],
)
def test_a_taxonomy_that_is_wrong_is_a_usage_error_that_names_what(
    text: str, words: str, shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "wrong.toml").write_text(text)
    assert shell("genres", "list", "--taxonomy", tmp_path / "wrong.toml") == 2
    assert words in shell.err
    assert "wrong.toml" in shell.err
    assert shell.out == ""


def test_a_taxonomy_that_is_not_there_is_named(shell: Shell, tmp_path: Path) -> None:
    assert shell("genres", "list", "--taxonomy", tmp_path / "absent.toml") == 2
    assert "absent.toml" in shell.err
