"""`undo` of a run that somebody has touched since, questions it asks, and `history` of many runs."""

from __future__ import annotations

import os
from pathlib import Path

import mutagen.id3
import pytest

from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.tagging.read import read_tags
from tests.cli.conftest import Terminal
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell, digests

NAMES = ("title", "genre", "gone", "fine")


def genres(path: Path) -> tuple[str, ...] | None:
    return read_tags(path).genres


def edit(path: Path, frame: mutagen.id3.Frame) -> None:
    """As a tag editor does it."""
    tags = mutagen.id3.ID3(path)
    tags.setall(type(frame).__name__, [frame])
    tags.save(path)


@pytest.fixture
def touched(library: DecidedLibrary, shell: Shell) -> dict[str, Path]:
    """A run of four files: one got another title since, one another genre, one is gone, and one is as it was left."""
    paths = dict(zip(NAMES, library.add(*(Tune(f"{name}.mp3") for name in NAMES)), strict=True))
    assert shell("apply", "--yes") == 0
    edit(paths["title"], mutagen.id3.TIT2(encoding=3, text="New"))
    edit(paths["genre"], mutagen.id3.TCON(encoding=3, text="Zouk"))
    paths["gone"].unlink()
    return paths


def test_each_file_of_a_run_gets_what_is_still_possible_and_the_exit_code_says_that_not_all_did(
    touched: dict[str, Path], shell: Shell
) -> None:
    assert shell("undo", "--yes", "--json") == 1
    results = {name: row["result"] for name, row in shell.by_name().items()}
    assert results == {"title.mp3": "field", "genre.mp3": "left", "gone.mp3": "failed", "fine.mp3": "restored"}
    assert all(set(row) == {"path", "result", "detail"} for row in shell.objects())
    assert (genres(touched["title"]), genres(touched["genre"]), genres(touched["fine"])) == (None, ("Zouk",), None)
    assert mutagen.id3.ID3(touched["title"])["TIT2"].text == ["New"]


def test_what_was_not_undone_is_named_with_the_reason(touched: dict[str, Path], shell: Shell) -> None:
    assert shell("undo", "--yes") == 1
    lines = [" ".join(line.split()) for line in shell.out.splitlines()]
    assert lines[0] == "undo run 1"
    assert {"1 as before, to the byte", "1 edited since: only the genre is as before", "1 not restored"} <= {*lines}
    (left,) = [line for line in lines if "genre.mp3" in line]
    assert "now Zouk" in left
    assert "--force" in left
    assert any("gone.mp3" in line for line in lines)
    assert not any("fine.mp3" in line for line in lines)


def test_force_brings_the_old_genre_back_over_another_one(touched: dict[str, Path], shell: Shell) -> None:
    assert shell("undo", "--yes", "--force", "--json") == 1  # the file that is gone stays gone
    assert shell.by_name()["genre.mp3"]["result"] == "field"
    assert genres(touched["genre"]) is None


def test_a_dry_run_says_the_same_and_touches_nothing(
    touched: dict[str, Path], library: DecidedLibrary, shell: Shell
) -> None:
    before = digests(library.folder)
    assert shell("undo", "--dry-run", "--json") == 1
    said = {name: row["result"] for name, row in shell.by_name().items()}
    assert shell("undo", "--dry-run") == 1
    assert "undo      run 1 (dry run: nothing was changed)" in shell.out
    assert digests(library.folder) == before
    assert shell("undo", "--yes", "--json") == 1
    assert {name: row["result"] for name, row in shell.by_name().items()} == said


def test_what_is_left_of_a_run_can_be_undone_later(touched: dict[str, Path], shell: Shell) -> None:
    assert shell("undo", "--yes") == 1
    assert shell("history", "--json") == 0
    assert [(run["command"], run["written"], run["undone"]) for run in shell.objects()] == [
        ("apply", 2, 2),
        ("undo", 2, 0),
    ]
    edit(touched["genre"], mutagen.id3.TCON(encoding=3, text="Rock"))  # what the run had written
    assert shell("undo", "--yes", "--json") == 1
    assert {name: row["result"] for name, row in shell.by_name().items()} == {
        "genre.mp3": "field",
        "gone.mp3": "failed",
    }


def test_many_files_that_are_not_as_before_are_cut_and_counted(library: DecidedLibrary, shell: Shell) -> None:
    paths = library.add(*(Tune(f"{n:02}.mp3") for n in range(22)))
    assert shell("apply", "--yes") == 0
    for path in paths:
        path.unlink()
    assert shell("undo", "--yes") == 1
    assert len([line for line in shell.out.splitlines() if ".mp3: " in line]) == 20
    assert "and 2 more" in shell.out
    assert "22 not restored" in shell.out


def test_names_and_genres_with_escapes_are_shown_as_text(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune("a\x1b[31m\n\u202e.mp3"))
    assert shell("apply", "--yes") == 0
    edit(song, mutagen.id3.TCON(encoding=3, text="Evil\x1b]0;x\x07"))
    for words in (["history", "1"], ["undo", "--yes"], ["history"]):
        shell(*words)
        assert not {"\x1b", "\x07", "\u202e"} & set(shell.out + shell.err), words
    assert shell("history", "1") == 0
    assert "a\\x1b[31m\\n\\u202e.mp3" in shell.out


@pytest.mark.parametrize(("count", "words"), [(1, "Undo run 1 (1 file)? [Y/n]:"), (2, "Undo run 1 (2 files)? [Y/n]:")])
def test_the_question_counts_the_files_and_enter_goes_on(
    count: int, words: str, library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    library.add(*(Tune(f"{n}.mp3") for n in range(count)))
    before = digests(library.folder)
    assert shell("apply", "--yes") == 0
    terminal.answers.append("")
    assert shell("undo") == 0
    assert terminal.questions == [words]
    assert digests(library.folder) == before


def test_the_end_of_input_leaves_the_run_standing(library: DecidedLibrary, shell: Shell, terminal: Terminal) -> None:
    (song,) = library.add(Tune("a.mp3"))
    assert shell("apply", "--yes") == 0
    assert shell("undo") == 130
    assert genres(song) == ("Rock",)


@pytest.mark.parametrize("flag", ["", "--yes", "--dry-run", "--json"])
def test_a_run_that_is_not_there_is_named_before_anybody_is_asked(
    flag: str, library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    library.add(Tune("a.mp3"))
    assert shell("apply", "--yes") == 0
    assert shell("undo", "7", *([flag] if flag else [])) == 3
    assert shell.err == "reclass: There is no run 7; reclass history lists the runs.\n"
    assert terminal.questions == []


@pytest.mark.parametrize("command", ["undo", "history"])
def test_a_number_larger_than_any_run_is_no_run(command: str, library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    assert shell(command, str(2**63)) == 3
    assert shell.err == f"reclass: There is no run {2**63}; reclass history lists the runs.\n"


def test_an_undo_cannot_be_undone_and_a_run_only_once(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    assert shell("apply", "--yes") == 0
    assert shell("undo", "--yes") == 0
    assert shell("undo", "2", "--yes") == 2
    assert "Run 2 undid another one" in shell.err
    assert shell("undo", "1", "--yes") == 0
    assert "nothing of it stands written" in shell.out


def test_an_older_run_can_be_undone_by_its_number_and_the_newer_one_stays(
    library: DecidedLibrary, shell: Shell
) -> None:
    first, second = library.add(Tune("One/a.mp3"), Tune("Two/b.mp3"))
    assert shell("apply", first.parent, "--yes") == 0
    assert shell("apply", second.parent, "--yes") == 0
    assert shell("undo", "1", "--yes") == 0
    assert (genres(first), genres(second)) == (None, ("Rock",))
    assert shell("undo", "--yes") == 0
    assert genres(second) is None


def test_history_of_many_runs_is_newest_last_with_folders_and_counts(library: DecidedLibrary, shell: Shell) -> None:
    folders = [path.parent for path in library.add(*(Tune(f"{n:02}/a.mp3") for n in range(5)))]
    for folder in folders:
        assert shell("apply", folder, "--yes") == 0
    assert shell("undo", "3", "--yes") == 0
    assert shell("history") == 0
    lines = shell.out.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, 7))
    assert lines[2].rstrip().endswith(str(folders[2]))
    assert "0 written, 1 undone" in lines[2]
    assert "1 written  " in lines[3]
    assert "undo of run 3" in lines[5]


def test_a_run_that_was_killed_is_marked(library: DecidedLibrary, shell: Shell) -> None:
    database = Database(shell.db, durable=True)
    Journal(database).begin_run("scan", {"paths": [os.fsdecode(b"/m/\xff"), "/n"]})
    database.close()
    assert shell("history") == 0
    (line,) = shell.out.splitlines()
    assert line.endswith("/m/\\udcff, /n  (interrupted)")
    assert "0 written" in line
    assert shell("history", "--json") == 0
    (run,) = shell.objects()
    assert (run["finished"], run["arguments"]["paths"][1]) == (None, "/n")
    assert os.fsencode(run["arguments"]["paths"][0]) == b"/m/\xff"


def test_the_files_of_a_run_show_none_and_empty_apart(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3", "Rock", None), Tune("b.mp3", "Jazz", ("Other", "Unknown")))
    assert shell("apply", "--yes") == 0
    assert shell("history", "1") == 0
    shown = {line.split("/")[-1].split()[0]: line.partition(".mp3  ")[2] for line in shell.out.splitlines()}
    assert shown == {"a.mp3": "no genre -> Rock", "b.mp3": "Other, Unknown -> Jazz"}
    assert all(line.startswith("written ") for line in shell.out.splitlines())
    assert shell("undo", "--yes") == 0
    assert shell("history", "1", "--json") == 0
    assert {(row["state"], tuple(row["before"] or ())) for row in shell.objects()} == {
        ("undone", ()),
        ("undone", ("Other", "Unknown")),
    }


@pytest.fixture
def twice(library: DecidedLibrary, shell: Shell) -> dict[str, Path]:
    """Two runs over two folders: the first wrote all files, the second wrote that of `b` again."""
    one, two, three = library.add(Tune("a/one.mp3"), Tune("a/two.mp3"), Tune("b/three.mp3"))
    assert shell("apply", "--yes") == 0
    assert shell("edit", three, "--genre", "Jazz", "--scope", "track", "--yes") == 0
    assert (genres(one), genres(three)) == (("Rock",), ("Jazz",))
    return {"one": one, "two": two, "three": three}


def test_files_are_undone_by_their_paths_each_in_its_newest_run(twice: dict[str, Path], shell: Shell) -> None:
    assert shell("undo", twice["one"], twice["three"], "--yes") == 0
    assert [genres(twice[name]) for name in ("one", "two", "three")] == [None, ("Rock",), ("Rock",)]
    assert shell("undo", twice["three"].parent, "--yes") == 0
    assert genres(twice["three"]) is None
    assert shell("undo", twice["three"], "--yes") == 3
    assert "Nothing that reclass wrote stands there" in shell.err


def test_a_part_of_a_run_is_undone_by_globs_and_the_rest_stands(twice: dict[str, Path], shell: Shell) -> None:
    assert shell("undo", "1", "--only", "t*.mp3", twice["one"].parent, "-n", "--json") == 0
    assert [Path(one["path"]).name for one in shell.objects()] == ["two.mp3"]
    assert shell("undo", "1", "--only", "*/a/tw*", "--yes") == 0
    assert [genres(twice[name]) for name in ("one", "two", "three")] == [("Rock",), None, ("Jazz",)]
    assert shell("undo", "1", "--only", "nothing*", "--yes") == 3
    assert shell("undo", "2", "--yes") == 0
    assert shell("undo", "--yes") == 0  # the rest of the first run
    assert [genres(path) for path in twice.values()] == [None, None, None]


def test_a_file_called_like_a_run_is_a_file(
    twice: dict[str, Path], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(twice["one"].parent)
    (twice["one"].parent / "1").mkdir()
    assert shell("undo", "1", "--yes") == 3  # the folder, in which nothing was written
    assert genres(twice["one"]) == ("Rock",)


def test_a_word_that_is_nothing_stops_undo_before_anything_is_undone(twice: dict[str, Path], shell: Shell) -> None:
    assert shell("undo", twice["one"], "typo", "--yes") == 2
    assert shell("undo", "1", "2", "--yes") == 2  # one run at a time
    assert genres(twice["one"]) == ("Rock",)
    twice["one"].unlink()
    assert shell("undo", twice["one"], "--yes") == 1
    assert "1 not restored" in shell.out
