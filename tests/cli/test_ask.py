"""`scan --ask` and `edit`: answers in lines or single keys, written through the journal, kept over scans."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import pytest

from music_reclass.tagging.read import read_tags
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.cli.test_scan_terminal import on_a_terminal
from tests.library import Shell, digests

SCAN = ("-j", "1", "--stages", "1", "--ask")


def genres(folder: Path) -> dict[str, tuple[str, ...] | None]:
    return {path.name: read_tags(path).genres for path in sorted(folder.rglob("*")) if path.is_file()}


def types(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_chosen_genre_and_a_never_hold_over_the_next_scan_and_relabel(
    scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(scanned)
    types(monkeypatch, "c", "gregorian metal", "Jazz, Blues", "n", "?", "l")
    assert shell("scan", scanned, *SCAN, "--max-genres", "2") == 0
    assert shell.out.count("[a]ccept") == 4  # three albums, and once more after the help
    assert "There is no genre 'gregorian metal'" in shell.out
    chosen = [name for name, held in genres(scanned).items() if held == ("Jazz", "Blues")]
    assert len(chosen) >= 3  # a whole album, whatever was there
    changed = [name for name, digest in digests(scanned).items() if digest != before[name]]
    assert {Path(name).name for name in changed} == set(chosen)
    for command in (("scan", scanned, "-j", "1", "--stages", "1", "-n", "--rescan"), ("relabel",)):
        assert shell(*command) == 0
        shell("export", "--format", "jsonl")
        by_name = shell.by_name()
        assert {tuple(by_name[name]["genres"]) for name in chosen} == {("Jazz", "Blues")}
        assert [one["reason"] for one in by_name.values()].count("left") >= 3
    song = next(path for path in scanned.rglob("*") if path.name == chosen[0])
    assert shell("explain", song) == 0
    assert "chose Jazz, Blues, which holds" in shell.out
    types(monkeypatch, "l")
    shell("scan", scanned, *SCAN)
    assert shell.out.count("[a]ccept") == 1  # the two that were decided are not asked about again
    assert shell("undo", "1", "-y") == 0
    assert digests(scanned) == before


def test_accept_writes_what_was_shown_and_the_end_of_input_writes_no_more(
    scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(scanned)
    types(monkeypatch, "a")
    assert shell("scan", scanned, *SCAN, "--on-existing", "replace") == 0
    changed = {name.split("/")[0] for name, digest in digests(scanned).items() if digest != before[name]}
    assert len(changed) == 1
    types(monkeypatch, "q")
    assert shell("scan", scanned, *SCAN, "--on-existing", "replace") == 0
    assert "Nothing to write" in shell.out


def test_a_dry_run_stores_no_answer(scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(scanned)
    types(monkeypatch, "n", "c", "n")
    assert shell("scan", scanned, *SCAN, "-n") == 0
    types(monkeypatch, "n", "n", "n")
    shell("scan", scanned, *SCAN, "-n")
    assert shell.out.count("[a]ccept") == 3
    assert digests(scanned) == before
    assert shell("scan", scanned, *SCAN, "-y") == 2


def test_edit_decides_without_a_question_and_takes_it_back(library: DecidedLibrary, shell: Shell) -> None:
    one, two = library.add(Tune("One/a.mp3", "Rock", ("Pop",)), Tune("One/b.mp3", ""))
    assert shell("edit", library.folder, "--genre", "hip hop", "--scope", "track", "-y") == 0
    assert {read_tags(path).genres for path in (one, two)} == {("Hip-Hop",)}
    assert shell("edit", library.folder, "--leave", "--scope", "track") == 0
    assert shell("apply", "-y", "--on-existing", "replace") == 0
    assert {read_tags(path).genres for path in (one, two)} == {("Hip-Hop",)}
    shell("status", "--unsure", "--json")
    assert {one["reason"] for one in shell.objects()} == {"left"}
    assert shell("edit", library.folder, "--clear") == 0
    assert "1 decision;" in shell.out  # the two files hold the same audio
    assert shell("edit", library.folder, "--genre", "gregorian metal") == 2
    assert shell("edit", library.folder, "--genre", "Jazz", "--leave") == 2
    assert shell("edit", library.folder / "nowhere") == 3


def test_edit_prints_objects_alone_where_they_are_asked_for(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    assert shell("edit", library.folder, "--genre", "Jazz", "--json", "--dry-run") == 0
    assert shell.objects() == [{"stored": False, "tracks": 1}]
    assert shell("edit", library.folder, "--clear", "--json") == 0
    assert shell.objects() == [{"cleared": 0}]


def test_single_keys_on_a_terminal(library: DecidedLibrary, shell: Shell, tmp_path: Path) -> None:
    (song,) = library.add(Tune("One/a\x1b[2J.mp3", "Rock"))
    code, screen = on_a_terminal("edit", library.folder, "--db", shell.db, keys=b"a", question=b"[q]uit?")
    assert code == 0
    assert "\x1b[2J" not in screen
    assert read_tags(song).genres == ("Rock",)


def test_a_signal_ends_the_questions_at_once(
    library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(Tune("One/a.mp3", "Rock"), Tune("Two/b.mp3", "Jazz"))
    before = digests(library.folder)

    class Keyboard(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
            signal.raise_signal(signal.SIGTERM)
            return "a\n"

    monkeypatch.setattr("sys.stdin", Keyboard())
    assert shell("edit", library.folder) == 130
    assert shell.out.count("[a]ccept") == 1
    assert shell.err.strip() == "Interrupted."
    assert digests(library.folder) == before


def test_a_terminal_that_is_gone_is_no_bug(
    library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    termios = pytest.importorskip("termios")
    library.add(Tune("One/a.mp3", "Rock"))
    before = digests(library.folder)

    def fails(*_: object) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin.fileno", lambda: 0, raising=False)
    monkeypatch.setattr("termios.tcgetattr", fails)
    assert shell("edit", library.folder) == 1
    assert shell.err == "reclass: Input/output error.\n"
    assert digests(library.folder) == before


def test_albums_whose_answer_teaches_most_are_asked_about_first(
    library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(Tune("One/a.mp3", "Rock", confidence=0.99), Tune("Two/b.mp3", "Jazz", confidence=0.51))
    types(monkeypatch, "q")
    assert shell("edit", library.folder) == 0
    assert "/One" in shell.out
    types(monkeypatch, "q")
    assert shell("edit", library.folder, "--order", "informative") == 0
    assert "/Two" in shell.out
    assert "/One" not in shell.out
