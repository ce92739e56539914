"""The command after_write: once after a run that wrote files, with what it needs to know, and never in its way."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import music_reclass.cli.models  # noqa: F401 - has its `interactive` before a test has another: nothing is offered here
from music_reclass.cli import session, writing
from music_reclass.cli.writing import run_after_write
from music_reclass.config import Secret, Settings
from music_reclass.errors import ServerError
from music_reclass.features.database import writing_lease
from tests.library import Shell, digests

WRITES = ("--yes", "--on-existing", "replace", "--stages", "1")
NOTE = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("RECLASS_")}
with open(sys.argv[1], "a") as file:
    print(json.dumps([sys.argv[2:], told]), file=file)
print("a word of the command")
sys.exit(int(sys.argv[-1]) if sys.argv[-1].isdigit() else 0)
"""


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    """Where the command notes its words and variables."""
    return tmp_path / "noted.jsonl"


@pytest.fixture
def command(tmp_path: Path, noted: Path) -> str:
    """A real small command."""
    script = tmp_path / "my note.py"
    script.write_text(NOTE)
    return shlex.join([sys.executable, str(script), str(noted)])


def calls(noted: Path) -> list[tuple[list[str], dict[str, str]]]:
    return [tuple(json.loads(line)) for line in noted.read_text().splitlines()] if noted.exists() else []


def test_it_runs_once_after_a_scan_and_after_its_undo(
    scanned: Path, shell: Shell, command: str, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_AFTER_WRITE", command)
    assert shell("scan", scanned / "Grid Nine", *WRITES, "--json") == 0
    files = [Path(item["path"]) for item in shell.objects() if item["written"]]
    (told,) = (told for _, told in calls(noted))
    assert (told["RECLASS_RUN"], told["RECLASS_COMMAND"], told["RECLASS_WRITTEN"]) == ("1", "scan", str(len(files)))
    assert told["RECLASS_FOLDERS"].splitlines() == sorted({str(file.parent) for file in files})
    assert told["RECLASS_AFTER_WRITE"] == ""
    assert shell("undo", "--yes") == 0
    told = calls(noted)[1][1]
    assert (told["RECLASS_RUN"], told["RECLASS_COMMAND"], told["RECLASS_WRITTEN"]) == ("1", "undo", str(len(files)))


def test_it_does_not_run_where_nothing_was_written(
    scanned: Path, shell: Shell, command: str, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_AFTER_WRITE", command)
    before = digests(scanned)
    shell("scan", scanned / "Grid Nine", *WRITES, "--dry-run")
    shell("scan", scanned / "Grid Nine", "--on-existing", "replace", "--stages", "1")  # nobody is there to say yes
    shell("relabel")
    assert digests(scanned) == before
    assert calls(noted) == []


def test_the_command_may_use_reclass_itself(
    scanned: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "listed.json"
    script = tmp_path / "then.sh"
    script.write_text(f'"{sys.executable}" -m music_reclass genres list --db "{shell.db}" --json > "{listed}"\n')
    monkeypatch.setenv("RECLASS_AFTER_WRITE", f"sh {shlex.quote(str(script))}")
    assert shell("scan", scanned / "Grid Nine", *WRITES) == 0
    assert listed.stat().st_size


def test_one_that_fails_is_said_and_changes_no_tag(
    scanned: Path, shell: Shell, command: str, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_AFTER_WRITE", f"{command} 3")
    assert shell("scan", scanned / "Grid Nine", *WRITES, "--json") == 1
    assert "ended with 3; the tags are written." in shell.err
    assert any(item["written"] for item in shell.objects())  # what the command prints is no JSON and not on stdout
    assert shell("undo", "--yes") == 1
    monkeypatch.setenv("RECLASS_AFTER_WRITE", "/no/such/command --now")
    assert shell("scan", scanned / "Grid Nine", *WRITES) == 1
    assert "(/no/such/command) cannot be started (No such file or directory)" in shell.err


def test_quotes_keep_words_together_and_nothing_else_means_anything_but_the_home_folder(
    command: str, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    line = f"""{command} 'two words' "it's" $HOME `id` a;b '&&' ~/x a~/x"""
    assert run_after_write(line, "scan", {7: ["/m/$(touch x)/1.mp3", "/m/; rm/2.mp3"]}) == ""
    ((words, told),) = calls(noted)
    assert words == ["two words", "it's", "$HOME", "`id`", "a;b", "&&", "/home/me/x", "a~/x"]
    assert told["RECLASS_FOLDERS"].splitlines() == ["/m/$(touch x)", "/m/; rm"]


def test_very_many_folders_are_named_by_what_they_have_in_common(command: str, noted: Path) -> None:
    files = [f"/music/{'Ö' * 40}/{number}/1.mp3" for number in range(2000)]
    assert run_after_write(command, "scan", {7: files, 8: []}) == ""
    ((_, told),) = calls(noted)
    assert (told["RECLASS_FOLDERS"], told["RECLASS_WRITTEN"], told["RECLASS_RUN"]) == (
        f"/music/{'Ö' * 40}", "2000", "7",
    )  # fmt: skip


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def endless(tmp_path: Path) -> tuple[str, Path]:
    """A command that starts another and waits for it, and the file with the number of that."""
    pid = tmp_path / "pid"
    script = tmp_path / "endless.sh"
    script.write_text(f'sleep 300 &\necho $! > "{pid}.part"\nmv "{pid}.part" "{pid}"\nwait\n')
    return f"sh {script}", pid


def gone(pid: Path) -> bool:
    number = int(pid.read_text())
    for _ in range(100):
        if not alive(number):
            return True
        time.sleep(0.02)
    return False


def test_one_that_takes_too_long_is_ended_with_all_it_started(
    endless: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    line, pid = endless
    monkeypatch.setattr(writing, "AFTER_WRITE_SECONDS", 0.3)
    assert "was ended after 0 minutes; the tags are written." in run_after_write(line, "scan", {7: ["/m/1.mp3"]})
    assert gone(pid)


def test_ctrl_c_ends_it_with_all_it_started(endless: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    line, pid = endless

    def interrupt() -> None:
        while not pid.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_after_write(line, "scan", {7: ["/m/1.mp3"]})
    assert "was ended; the tags are written." in capsys.readouterr().err
    assert gone(pid)


def test_a_command_that_cannot_be_taken_apart_is_refused_before_anything_is_read(
    scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_AFTER_WRITE", "curl 'http://nas")
    before = digests(scanned)
    assert shell("scan", scanned, *WRITES) == 2
    assert "after_write a command that cannot be taken apart: No closing quotation" in shell.err
    assert digests(scanned) == before


def test_it_runs_though_a_server_failed_after_the_files_were_written(
    tmp_path: Path, command: str, noted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(db=tmp_path / "library.sqlite3", after_write=Secret(f"{command} 4"))

    def fail_after_writing() -> None:
        with session.writing(settings, "scan") as work:
            work.written[1] = ["/m/1.mp3"]
            raise ServerError("gone")

    with pytest.raises(ServerError, match="gone"):
        fail_after_writing()
    assert len(calls(noted)) == 1
    assert "ended with 4" in capsys.readouterr().err


def test_a_run_that_was_stopped_stays_one_that_was_stopped(
    tmp_path: Path, command: str, noted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(db=tmp_path / "library.sqlite3", after_write=Secret(f"{command} 4"))
    with session.writing(settings, "scan") as work:
        work.written[1] = ["/m/1.mp3"]
        work.stop.requested = True
    assert len(calls(noted)) == 1
    assert "ended with 4" in capsys.readouterr().err


def test_the_library_is_free_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    def look(line: str, command: str, written: object) -> str:
        with writing_lease(settings.database, "other"):
            held.append(False)
        return ""

    monkeypatch.setattr(writing, "run_after_write", look)
    settings = Settings(db=tmp_path / "library.sqlite3", after_write=Secret("true"))
    with session.writing(settings, "scan") as work:
        work.written[1] = ["/m/1.mp3"]
    assert held == [False]


def test_what_it_prints_goes_to_stderr(command: str) -> None:
    code = f"from music_reclass.cli.writing import run_after_write; run_after_write({command!r}, 'scan', {{7: ['/1']}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "a word of the command\n")
