"""The plan and its question on a real terminal: shown before anything is written, and answered by keys."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from music_reclass.tagging.read import read_tags
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell, digests


def on_a_terminal(*words: str | Path, keys: bytes, colour: bool = True, question: bytes = b"]: ") -> tuple[int, str]:
    """Exit code and screen of a command in a terminal of its own, where `keys` answer the first question."""
    pid, screen = pty.fork()
    if pid == 0:
        plain = {} if colour else {"NO_COLOR": "1"}
        os.execve(
            sys.executable,
            [sys.executable, "-m", "music_reclass", *map(str, words)],
            {**os.environ, "TERM": "xterm", **plain},
        )
    shown, asked = b"", False
    while True:
        try:
            piece = os.read(screen, 4096)
        except OSError:  # the terminal closes with its last program
            break
        if not piece:
            break
        shown += piece
        if not asked and question in shown:
            asked = True
            os.write(screen, keys)
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


@pytest.mark.parametrize(
    ("keys", "code", "said"),
    [
        (b"y\n", 0, "To undo this: reclass undo 1"),
        (b"n\n", 0, "Nothing was written. To write this one: reclass apply"),
        (b"\n", 0, "Nothing was written. To write this one: reclass apply"),
        (b"\x04", 130, "Interrupted."),  # Ctrl-D
        (b"\x03n\n", 130, "Interrupted."),  # Ctrl-C, heeded before the answer
    ],
)
def test_the_plan_comes_first_and_only_a_yes_writes(
    keys: bytes, code: int, said: str, library: DecidedLibrary, shell: Shell
) -> None:
    (song,) = library.add(Tune("One/a\x1b[2J.mp3"))
    before = digests(library.folder)
    found, screen = on_a_terminal("apply", "--db", shell.db, keys=keys)
    assert found == code
    assert "a\\x1b[2J.mp3" in screen  # shown, and the screen was not cleared by it
    assert "\x1b[2J" not in screen
    assert screen.index("\\x1b[2J.mp3") < screen.index("Write 1 genre?") < screen.index(said)
    assert (digests(library.folder) != before) == (keys == b"y\n")
    assert read_tags(song).genres == (("Rock",) if keys == b"y\n" else None)


def test_labels_are_dim_on_a_terminal_unless_no_colour_is_wanted(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    words = ("status", "--db", shell.db)
    _, coloured = on_a_terminal(*words, keys=b"")
    _, bare = on_a_terminal(*words, keys=b"", colour=False)
    assert "\x1b[2mlibrary" in coloured
    assert "\x1b" not in bare
    assert re.sub(r"\x1b\[\d*m", "", coloured) == bare


def test_into_a_pipe_nobody_is_asked_and_nothing_is_coloured(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    before = digests(library.folder)
    done = subprocess.run(
        [sys.executable, "-m", "music_reclass", "apply", "--db", str(shell.db)],
        input="y\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "that needs --yes" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert digests(library.folder) == before
