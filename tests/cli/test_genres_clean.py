"""`genres clean`: genres in files get the spelling of the taxonomy, shown, written, undone; clean after one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import current_style
from tests.cli.decided_library import KIND, DecidedLibrary, Tune
from tests.library import Shell, digests
from tests.tagging.samples import SUFFIX_OF_KIND, tagged

FORMATS = (
    "mp3 v2.3",
    "mp3 v2.4",
    "mp3 v2.3 ape",
    "flac",
    "flac id3",
    "vorbis",
    "opus",
    "aac",
    "wav",
    "aiff",
    "wma",
    "wavpack",
    "monkeys",
    "tta",
)
MESS = ("Rock/Pop; hip hop", "hip-hop", "Other")


def genres(path: Path) -> tuple[str, ...] | None:
    return read_tags(path).genres


def test_genres_are_spelled_once_apart_and_without_junk_and_every_byte_comes_back(
    library: DecidedLibrary, shell: Shell
) -> None:
    messy, clean, unknown = library.add(
        Tune("a.mp3", tags=MESS), Tune("b.mp3", tags=("Rock", "Drum & Bass")), Tune("c.mp3", tags=("Zorblax", "rnb"))
    )
    before = digests(library.folder)
    assert shell("genres", "clean", "-n") == 0
    assert "Rock/Pop; hip hop, hip-hop, Other" in shell.out
    assert digests(library.folder) == before
    assert shell("genres", "clean", "--json", "-y") == 0
    rows = shell.by_name()
    assert set(rows) == {"a.mp3", "c.mp3"}
    assert rows["a.mp3"]["before"] == list(MESS)
    assert (rows["c.mp3"]["after"], rows["c.mp3"]["written"]) == (["Zorblax", "Soul-RnB"], True)
    assert genres(messy) == tuple(rows["a.mp3"]["after"])
    assert genres(messy)[-1:] == ("Hip-Hop",)
    assert genres(clean) == ("Rock", "Drum & Bass")
    assert genres(unknown) == ("Zorblax", "Soul-RnB")
    assert shell("genres", "clean", "-y") == 0
    assert "Nothing to write" in shell.out
    assert shell("undo", "-y") == 0
    assert digests(library.folder) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_files_need_no_scan_whatever_their_format(kind: str, shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "Music"
    folder.mkdir()
    path = folder / f"a{SUFFIX_OF_KIND[kind]}"
    path.write_bytes(tagged(kind, ("hip hop", "Rap & Hip-Hop", "genre", "Zorblax")))
    before = digests(folder)
    found = genres(path)
    assert shell("genres", "clean", folder, "-y") == 0
    cleaned = genres(path)
    assert cleaned is not None
    assert cleaned[0] == "Hip-Hop"
    assert cleaned[-1] == "Zorblax"
    assert "genre" not in cleaned
    assert cleaned != found
    assert shell("genres", "clean", folder, "-y") == 0
    assert "Nothing to write" in shell.out
    assert shell("undo", "1", "-y") == 0
    assert digests(folder) == before


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "mp3 v2.3"])
def test_a_field_of_junk_alone_goes_and_comes_back(kind: str, shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / f"a{SUFFIX_OF_KIND[kind]}"
    path.write_bytes(tagged(kind, ("Other", "www.example.com")))
    before = path.read_bytes()
    assert shell("genres", "clean", path, "-y") == 0
    assert not genres(path)
    assert shell("undo", "-y") == 0
    assert path.read_bytes() == before


def test_a_field_that_another_tag_would_fill_again_is_left(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(tagged("mp3 v2.3", ("Other",)))  # with the number of Rock in ID3v1
    before = path.read_bytes()
    assert shell("genres", "clean", path, "-y") == 1
    assert "another of its tags says Rock" in shell.out
    assert path.read_bytes() == before


def test_a_whitelist_merges_upwards_and_comes_from_the_configuration(
    library: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    one, two = library.add(Tune("a.mp3", tags=("Shoegaze", "Zorblax")), Tune("b.mp3", tags=("Polka", "Jazz")))
    config = tmp_path / "config.toml"
    config.write_text('genres.only = ["rock", "Jazz"]\n')
    assert shell("genres", "clean", "-y", "--config", config) == 0
    assert (genres(one), genres(two)) == (("Rock",), ("Jazz",))
    assert shell("genres", "clean", "--only", "Jaz") == 2
    assert "did you mean" in shell.err
    config.write_text("genres.most = 3\n")
    assert shell("genres", "clean", "--config", config) == 2


def test_styles_go_into_their_own_field_unless_one_is_there(library: DecidedLibrary, shell: Shell) -> None:
    one, two = library.add(Tune("a.mp3", tags=("shoegaze",)), Tune("b.mp3", tags=("Jazz", "Bebop")))
    before = digests(library.folder)
    assert shell("genres", "clean", "-y", "--styles-apart", "--json") == 0
    assert shell.by_name()["a.mp3"]["style_field"] == "Shoegaze"
    assert genres(one) == ("Rock",)
    assert genres(two) == ("Jazz", "Bebop")
    with one.open("rb") as file:
        assert current_style(file, one)[0] == ("Shoegaze",)
    assert shell("undo", "-y") == 0
    assert digests(library.folder) == before


def test_what_is_to_be_left_alone_stays_and_a_place_without_files_is_named(
    library: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    (song,) = library.add(Tune("a.mp3", tags=("hip hop",)))
    assert shell("decide", song, "--leave") == 0
    assert shell("genres", "clean", "-y") == 0
    assert genres(song) == ("hip hop",)
    assert shell("genres", "clean", tmp_path / "nowhere") == 3


def test_a_cleaned_genre_stays_the_users_and_one_of_ours_stays_ours(library: DecidedLibrary, shell: Shell) -> None:
    theirs, ours = library.add(Tune("a.mp3", tags=("hip hop",)), Tune("b.mp3", "Rock"))
    assert shell("apply", ours, "-y") == 0
    more = library.folder.parent / "more.toml"
    more.write_text('[output]\n"Rock" = "Rok"\n')
    assert shell("genres", "clean", "-y", "--taxonomy", more) == 0
    assert (genres(theirs), genres(ours)) == (("Hip-Hop",), ("Rok",))
    tracks = Library(Database(shell.db))
    assert [Path(track.path).name for track in tracks.tagged_by_user(KIND)] == ["a.mp3"]


def test_a_genre_that_was_edited_elsewhere_and_cleaned_is_not_spelled_back(
    library: DecidedLibrary, shell: Shell
) -> None:
    (song,) = library.add(Tune("a.mp3", tags=("hip hop",)))
    database = Database(shell.db)
    from music_reclass.features.decisions import Decisions

    decisions = Decisions(database)
    decisions.decide(decisions.below(), ["hip hop"], "tag", scope="track")
    database.close()
    assert shell("genres", "clean", "-y") == 0
    assert shell("apply", "-y") == 0
    assert genres(song) == ("Hip-Hop",)
