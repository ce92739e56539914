"""The plan of a command that writes: what is shown of it, what is asked, and what the end says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.tagging.read import read_tags
from tests.cli.conftest import Terminal
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell, digests

EVIL = "Ev\x1b]0;il\x07\nline\u202e"


def genres(path: Path) -> tuple[str, ...] | None:
    return read_tags(path).genres


def test_one_genre_is_asked_for_in_the_singular_and_written_on_yes(
    library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    (song,) = library.add(Tune("song.mp3"))
    terminal.answers.append("y")
    assert shell("apply") == 0
    assert terminal.questions == ["Write 1 genre? [y/N]:"]
    assert "Written: 1 file, each checked afterwards. To undo this: reclass undo 1" in shell.out
    assert genres(song) == ("Rock",)


@pytest.mark.parametrize("typed", ["n", "", "NO"])
def test_who_does_not_say_yes_keeps_every_byte_and_learns_how_to_write_later(
    typed: str, library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    library.add(Tune("a.mp3"), Tune("b.mp3"))
    before = digests(library.folder)
    terminal.answers.append(typed)
    assert shell("apply") == 0
    assert terminal.questions == ["Write 2 genres? [y/N]:"]
    assert "Nothing was written. To write these 2: reclass apply" in shell.out
    assert digests(library.folder) == before
    assert shell("history") == 0
    assert shell.out == ""


def test_the_end_of_input_at_the_question_is_an_interruption_and_writes_nothing(
    library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    library.add(Tune("a.mp3"))
    before = digests(library.folder)
    assert shell("apply") == 130
    assert "Interrupted." in shell.err
    assert digests(library.folder) == before
    terminal.answers.append("y")
    assert shell("apply") == 0  # and the library is free again


def test_an_answer_that_is_none_is_asked_again(library: DecidedLibrary, shell: Shell, terminal: Terminal) -> None:
    (song,) = library.add(Tune("a.mp3"))
    terminal.answers += ["perhaps", "yes"]
    assert shell("apply") == 0
    assert "invalid input" in shell.out + shell.err
    assert genres(song) == ("Rock",)


def test_a_dry_run_wins_over_yes(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    before = digests(library.folder)
    assert shell("apply", "--yes", "--dry-run") == 0
    assert "Nothing was written (dry run). To write this one: reclass apply" in shell.out
    assert digests(library.folder) == before


def test_json_without_yes_asks_nobody_and_writes_nothing(
    library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    library.add(Tune("a.mp3"), Tune("b.mp3", ""))
    before = digests(library.folder)
    assert shell("apply", "--json") == 0
    assert terminal.questions == []
    assert "that needs --yes" in shell.err
    found = shell.by_name()
    assert [(one["action"], one["written"]) for one in found.values()] == [("write", False), ("none", False)]
    assert digests(library.folder) == before


def test_every_object_has_the_promised_keys(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"), Tune("b.mp3", ""), Tune("c.mp3", error=SkipTrack("silence", "")))
    assert shell("apply", "--yes", "--json") == 0
    keys = {"path", "outcome", "reason", "genres", "confidence", "stage", "votes", "before", "relation", "action"}
    for one in shell.objects():
        assert set(one) == {*keys, "written"}
    found = shell.by_name()
    assert (found["a.mp3"]["relation"], found["a.mp3"]["written"]) == ("fill", True)
    assert (found["b.mp3"]["relation"], found["b.mp3"]["outcome"]) == (None, "unsure")
    assert (found["c.mp3"]["outcome"], found["c.mp3"]["reason"]) == ("skipped", "silence")


def test_the_plan_shows_files_by_folder_with_before_after_and_how_sure(library: DecidedLibrary, shell: Shell) -> None:
    library.add(
        Tune("One/1.mp3", "Rock", ("Other",), 0.876),
        Tune("One/2.mp3", "Jazz", None, 0.999),
        Tune("Two/3.mp3", "Pop", ()),
    )
    assert shell("apply", "--dry-run") == 0
    lines = [line.strip() for line in shell.out.splitlines()]
    folder = os.path.realpath(library.folder)
    assert lines.index(f"{folder}/One/") < lines.index(f"{folder}/Two/")
    shown = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if ".mp3" in line}
    assert shown["1.mp3"] == "Other -> Rock 88 %"
    assert shown["2.mp3"] == "no genre -> Jazz over 99 %"
    assert shown["3.mp3"] == "no genre -> Pop 90 %"


def test_a_long_plan_shows_its_beginning_and_counts_the_rest_by_kind(library: DecidedLibrary, shell: Shell) -> None:
    library.add(*(Tune(f"{n:02}.mp3", "Rock" if n < 20 else "Jazz", ("Other",)) for n in range(26)))
    assert shell("apply", "--dry-run") == 0
    assert "23.mp3" in shell.out
    assert "24.mp3" not in shell.out
    rest = shell.out.partition("and 2 more files (the same command with -v lists all); all of them by kind of change:")[
        2
    ].splitlines()
    assert [line.split() for line in rest[1:3]] == [["20", "Other", "->", "Rock"], ["6", "Other", "->", "Jazz"]]
    assert "more kinds" not in shell.out


@pytest.mark.parametrize(("kinds", "words"), [(16, "and 1 more kind of change"), (17, "and 2 more kinds of change")])
def test_many_kinds_of_change_are_cut_and_counted(
    kinds: int, words: str, library: DecidedLibrary, shell: Shell
) -> None:
    library.add(
        *(Tune(f"{n:02}.mp3", "Rock", (f"Track {n:02}",)) for n in range(kinds)),
        *(Tune(f"x{n}.mp3", tags=("Track 00",)) for n in range(10)),
    )
    assert shell("apply", "--dry-run", "--on-existing", "replace") == 0
    assert len([line for line in shell.out.splitlines() if " -> Rock" in line and ".mp3" not in line]) == 15
    assert words in shell.out


def test_verbose_lists_the_whole_plan(library: DecidedLibrary, shell: Shell) -> None:
    library.add(*(Tune(f"{n:02}.mp3") for n in range(26)))
    assert shell("apply", "--dry-run", "-v") == 0
    assert "25.mp3" in shell.out
    assert "more file" not in shell.out


def test_before_the_question_stand_conflicts_that_are_left_alone_and_how_to_see_all(
    library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    library.add(Tune("new.mp3"), *(Tune(f"other{n}.mp3", "Rock", ("Jazz",)) for n in range(7)))
    terminal.answers.append("n")
    assert shell("apply") == 0
    left = shell.out.partition("The tag says something else, and is left alone:")[2]
    shown = [" ".join(line.split()) for line in left.splitlines() if "other" in line]
    assert shown == [f"other{n}.mp3 Jazz -> Rock 90 %" for n in range(5)]
    assert "and 2 more; by album: reclass report" in left


@pytest.mark.parametrize("reason", ["unsupported", "tags"])
def test_a_plan_counts_no_file_that_cannot_be_written(
    reason: str, library: DecidedLibrary, shell: Shell, terminal: Terminal
) -> None:
    (odd,) = library.add(Tune("odd.mp3"))
    database = Database(library.database)
    Library(database).note_unwritable(str(odd), reason)
    database.close()
    assert shell("apply", "--yes") == 0
    assert "1 cannot be written" in shell.out
    assert "Nothing to write." in shell.out
    assert genres(odd) is None
    assert shell("apply", "--json", "--dry-run") == 0
    (found,) = shell.objects()
    assert (found["action"], found["problem"], found["written"]) == ("none", reason, False)
    assert shell("status", "--failed") == 0
    (line,) = shell.out.splitlines()
    assert line.startswith(f"unwritten {reason}")


def test_a_file_that_could_not_be_written_is_listed_until_it_is_written(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune("song.mp3"))
    song.chmod(0o444)
    assert shell("apply", "--yes") == 1
    assert "Not written: 1 file (read-only 1).\n" in shell.out
    assert shell("status", "--failed") == 0
    assert "song.mp3" in shell.out
    assert shell("apply", "--dry-run") == 0
    assert "To write this one" in shell.out  # the next attempt may do better
    song.chmod(0o644)
    assert shell("apply", "--yes") == 0
    assert shell("status", "--failed") == 0
    assert shell.out == ""


def test_a_long_name_is_cut_with_an_ellipsis_and_a_wide_one_keeps_the_columns(
    library: DecidedLibrary, shell: Shell
) -> None:
    library.add(Tune("a" * 60 + ".mp3"), Tune("b.mp3"), Tune("椎" * 30 + ".mp3"))
    assert shell("apply", "--dry-run") == 0
    lines = [line for line in shell.out.splitlines() if "-> Rock" in line]
    assert ["…" in line for line in lines] == [True, False, True]
    assert all(".mp3 " in line for line in lines)
    assert len({sum(2 if char == "椎" else 1 for char in line.partition("->")[0]) for line in lines}) == 1


@pytest.mark.parametrize(
    ("words", "later"),
    [
        ([], "reclass apply {folder} --db {db}"),
        (["--on-existing", "replace"], "the same command with --yes"),
        (["--max-genres", "2"], "the same command with --yes"),
        (["--include", "*.mp3"], "the same command with --yes"),
    ],
)
def test_apply_is_named_only_where_it_writes_the_very_same(
    words: list[str], later: str, scanned: Path, shell: Shell
) -> None:
    assert shell("scan", scanned, "--dry-run", *words) == 0
    (line,) = [line for line in shell.out.splitlines() if line.startswith("Nothing was written")]
    assert line.rpartition(": ")[2] == later.format(folder=scanned, db=shell.db)


def test_names_and_genres_with_escapes_reach_the_terminal_as_text(library: DecidedLibrary, shell: Shell) -> None:
    folder = EVIL.replace("/", "")
    library.add(Tune(f"{folder}/{folder}.mp3", "Rock", (EVIL,)))
    for words in (["--on-existing", "merge"], ["--on-existing", "replace"]):
        assert shell("apply", "--dry-run", *words) == 0
        assert "-> " in shell.out
        assert not {"\x1b", "\x07", "\u202e"} & set(shell.out + shell.err)
        assert "Ev\\x1b]0;il\\x07\\nline\\u202e" in shell.out


def test_a_name_that_is_no_utf8_is_written_and_its_bytes_come_back(library: DecidedLibrary, shell: Shell) -> None:
    (song,) = library.add(Tune(os.fsdecode(b"caf\xe9.mp3")))
    assert shell("apply", "--yes", "--json") == 0
    (found,) = shell.objects()
    assert os.fsencode(found["path"]) == os.fsencode(song)
    assert genres(song) == ("Rock",)
    assert shell("undo", "--yes") == 0
    assert genres(song) is None


def test_wide_names_are_whole(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("音楽/椎名林檎 – 丸ノ内サディスティック.mp3"))
    assert shell("apply", "--dry-run") == 0
    assert "椎名林檎 – 丸ノ内サディスティック.mp3" in shell.out


def test_a_file_that_changed_since_is_named_left_and_makes_the_exit_code_1(
    library: DecidedLibrary, shell: Shell
) -> None:
    changed, fine = library.add(Tune("changed.mp3"), Tune("fine.mp3"))
    with changed.open("ab") as file:
        file.write(b"more")
    before = changed.read_bytes()
    assert shell("apply", "--yes") == 1
    assert "Written: 1 file, each checked" in shell.out
    assert "Not written: 1 file (changed since it was scanned 1)." in shell.out
    (line,) = [line for line in shell.out.splitlines() if "changed.mp3: " in line]
    assert "scan it again" in line
    assert changed.read_bytes() == before
    assert genres(fine) == ("Rock",)


def test_many_files_that_could_not_be_written_are_cut_and_counted(library: DecidedLibrary, shell: Shell) -> None:
    for path in library.add(*(Tune(f"{n:02}.mp3") for n in range(12))):
        path.unlink()
    assert shell("apply", "--yes") == 1
    assert "Not written: 12 files (no longer there 12).\n" in shell.out
    assert len([line for line in shell.out.splitlines() if "no longer there." in line]) == 10
    assert "and 2 more; all of them: reclass status --failed" in shell.out
    assert "Written: 0 files.\n" in shell.out
    assert shell("status", "--failed") == 0
    assert len(shell.out.splitlines()) == 12


def test_a_track_that_could_not_be_read_makes_the_exit_code_1_where_asked_for_and_one_that_was_skipped_never(
    library: DecidedLibrary, shell: Shell
) -> None:
    library.add(Tune("a.mp3"), Tune("b.mp3", error=SkipTrack("too_short", "")))
    assert shell("apply", "--dry-run") == 0
    assert "1 could not be used" in shell.out
    library.add(Tune("c.mp3", error=FailTrack("decode", "frame 3")))
    assert shell("apply", "--dry-run") == 0  # it failed when it was scanned
    assert shell("apply", "--dry-run", "--strict") == 1


def test_apply_below_a_folder_leaves_its_neighbours_alone(library: DecidedLibrary, shell: Shell) -> None:
    here, there = library.add(Tune("One/a.mp3"), Tune("One more/b.mp3"))
    assert shell("apply", library.folder / "One", "--yes") == 0
    assert (genres(here), genres(there)) == (("Rock",), None)
    assert shell("history", "--json") == 0
    (run,) = shell.objects()
    assert run["arguments"] == {"paths": [os.path.realpath(library.folder / "One")]}
    assert shell("apply", library.folder / "Nowhere", "--yes") == 3
    assert "No track of the library lies there" in shell.err


@pytest.mark.parametrize(
    ("policy", "after"),
    [
        ("keep", {"junk": ("Other",), "other": ("Jazz",), "none": ("Rock",)}),
        ("replace-junk", {"junk": ("Rock",), "other": ("Jazz",), "none": ("Rock",)}),
        ("replace-conflict", {"junk": ("Rock",), "other": ("Rock",), "none": ("Rock",)}),
        ("merge", {"junk": ("Rock",), "other": ("Jazz", "Rock"), "none": ("Rock",)}),
    ],
)
def test_the_policy_says_what_becomes_of_a_genre_that_is_there(
    policy: str, after: dict[str, tuple[str, ...]], library: DecidedLibrary, shell: Shell
) -> None:
    paths = library.add(
        Tune("junk.mp3", tags=("Other",)), Tune("other.mp3", tags=("Jazz",)), Tune("none.mp3", tags=None)
    )
    assert shell("apply", "--yes", "--on-existing", policy) == 0
    assert {path.stem: genres(path) for path in paths} == after


def test_a_setting_comes_from_the_file_unless_a_variable_says_otherwise_and_a_flag_beats_both(
    library: DecidedLibrary, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(Tune("other.mp3", tags=("Jazz",)))
    config = tmp_path / "config.toml"
    config.write_text('on_existing = "replace"\n')

    def action(*words: str | Path) -> str:
        assert shell("apply", "--dry-run", "--json", *words) == 0
        return str(shell.objects()[0]["action"])

    assert action() == "keep"
    assert action("--config", config) == "write"
    monkeypatch.setenv("RECLASS_CONFIG", str(config))
    assert action() == "write"
    monkeypatch.setenv("RECLASS_ON_EXISTING", "keep")
    assert action() == "keep"
    assert action("--on-existing", "merge") == "write"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("RECLASS_ON_EXISTING", "overwrite", "choose one of keep, replace-junk"),
        ("RECLASS_ON_EXISTIN", "keep", "did you mean on_existing?"),
        ("RECLASS_PRESERVE_MTIME", "perhaps", "which does not fit"),
        ("RECLASS_MAX_GENRES", "0", "1 is the least"),
    ],
)
def test_a_variable_that_makes_no_sense_stops_the_command_before_it_writes(
    variable: str, value: str, words: str, library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(Tune("a.mp3"))
    before = digests(library.folder)
    monkeypatch.setenv(variable, value)
    assert shell("apply", "--yes") == 2
    assert words in shell.err
    assert digests(library.folder) == before


def test_only_what_is_confident_enough_is_written(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("sure.mp3", "Rock", confidence=0.95), Tune("less.mp3", "Jazz", confidence=0.7))
    assert shell("apply", "-y", "--min-confidence", "0.8", "--json") == 0
    by_name = shell.by_name()
    assert (by_name["sure.mp3"]["written"], by_name["less.mp3"]["written"]) == (True, False)
    assert shell("apply", "-n", "--min-confidence", "confident", "--json") == 0
    assert shell.by_name()["less.mp3"]["action"] == "write"  # both were called confident
    assert shell("apply", "-n", "--min-confidence", "very") == 2


def test_quiet_leaves_lines_out_and_problems_in(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    assert shell("apply", "-n", "-q") == 0
    assert (shell.out, shell.err) == ("", "")
    assert shell("apply", "-q") == 0
    assert "needs --yes" in shell.err
    assert shell("apply", "-n") == 0
    assert "Rock" in shell.out


def test_conflicts_are_listed_when_asked_for(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned, "-n", "-j", "1", "--limit", "3")
    assert len([line for line in shell.out.splitlines() if "3 tracks" in line]) == 1
    shell("scan", scanned, "-n", "-j", "1", "--conflicts")
    assert "The tag says something else:" in shell.out
    listed = shell.out.partition("The tag says something else:")[2]
    assert "left alone" in listed or "none" in listed
