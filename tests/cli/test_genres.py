"""The tree of genres, and the genres of a library."""

from pathlib import Path

from music_reclass.features.database import Database
from tests.library import Shell


def test_every_genre_is_listed_below_its_parent(shell: Shell) -> None:
    assert shell("genres", "list", "--json") == 0
    listed = shell.objects()
    parents = {row["genre"]: row["parent"] for row in listed}
    assert parents["Shoegaze"] == "Rock" or parents["Shoegaze"] in parents
    for place, row in enumerate(listed):
        assert row["parent"] is None or row["parent"] in {before["genre"] for before in listed[:place]}
    assert shell("genres", "list") == 0
    assert shell.out.splitlines()[0] == listed[0]["genre"]


def test_a_taxonomy_over_the_built_in_one_says_how_a_genre_is_written(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text('[output]\n"Rock" = "Rok"\n')
    assert shell("genres", "list", "--taxonomy", tmp_path / "more.toml", "--json") == 0
    assert {row["genre"]: row["written"] for row in shell.objects()}["Rock"] == "Rok"


def test_the_genres_of_a_library_are_counted_and_one_without_any_has_nothing_to_audit(
    scanned: Path, shell: Shell
) -> None:
    shell("scan", scanned, "--dry-run")
    assert shell("genres", "audit") == 0
    assert "distinct values" in shell.out
    Database(shell.db).connection.execute("UPDATE track SET genres = NULL")
    assert shell("genres", "audit") == 3
    assert "No file of the library" in shell.err
