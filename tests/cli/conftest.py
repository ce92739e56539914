"""A library that was decided by hand, and somebody at a terminal who answers questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from music_reclass.cli import output
from tests.cli.decided_library import DecidedLibrary
from tests.library import Shell


@dataclass
class Terminal:
    """What somebody types, one line a question, and what was asked; the end of the list is the end of input."""

    answers: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    def ask(self, prompt: str = "") -> str:
        """The next answer."""
        self.questions.append(prompt.strip())
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


@pytest.fixture
def library(tmp_path: Path, shell: Shell) -> DecidedLibrary:
    """An empty folder, and the database of `shell` that will say what is in it."""
    return DecidedLibrary(tmp_path / "Music", shell.db)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Somebody is there to be asked."""
    there = Terminal()
    monkeypatch.setattr(output, "interactive", lambda: True)
    monkeypatch.setattr("click.termui.visible_prompt_func", there.ask)
    return there
