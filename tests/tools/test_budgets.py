"""The budgets measure what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import budgets

CODE = '''
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING
import click
from music_reclass.other import second
if TYPE_CHECKING:
    from music_reclass.third import Third

@dataclass(frozen=True)
class One:
    """A rung of the ladder."""
    own: int
    def method(self, a, b, c, d): ...

def five(a, b, c, d, e): ...

def named(a, *, b, c, d, e): ...

@click.command()
def callback(a, b, c, d, e, f): ...
'''


@pytest.fixture
def package(tmp_path: Path) -> budgets.Sources:
    """Three modules, two of which import one another."""
    folder = tmp_path / "music_reclass"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "first.py").write_text(CODE)
    (folder / "other.py").write_text("def second():\n    from music_reclass.first import One\n    return One\n")
    (folder / "third.py").write_text("from music_reclass import first\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_first_part.py").write_text("x = 1\n" * 100)
    (tmp_path / "tests" / "test_thirdly.py").write_text("")
    return budgets.sources(tmp_path)


def test_files_and_dataclasses_are_counted(package: budgets.Sources) -> None:
    assert budgets.modules(package).value == 4
    assert budgets.dataclasses(package).counted == ("music_reclass.first.One",)


def test_positional_parameters_leave_self_and_callbacks_aside(package: budgets.Sources) -> None:
    found = budgets.positional(package)
    assert (found.value, found.fits) == (5, False)
    assert [line.split(":")[0] for line in found.counted] == ["5 music_reclass.first.five"]


def test_a_cycle_is_found_through_an_import_in_a_function_and_types_make_none(package: budgets.Sources) -> None:
    assert budgets.cycles(package).counted == ("music_reclass.first <-> music_reclass.other",)


def test_a_module_is_mirrored_by_its_name_or_its_name_and_a_part(package: budgets.Sources) -> None:
    assert budgets.mirrors(package).counted == ("other.py", "third.py")
    assert budgets.tests_to_code(package).fits


def test_retired_words_are_found_within_names_and_prose_and_allowed_where_they_are_stored(
    package: budgets.Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [word.split()[1] for word in budgets.retired_words(package).counted] == ["rung", "ladder", "own"]
    monkeypatch.setattr(budgets, "STORED", {"first.py": frozenset({"own", "rung"})})
    assert budgets.retired_words(package).counted == ("first.py:12 ladder",)


def test_a_measure_says_what_is_allowed_and_whether_it_holds() -> None:
    assert budgets.Measure("modules", 161, 160).line().endswith("161   at most 160   EXCEEDED")
    assert budgets.Measure("ratio", 1.2, 1, (), True).line().endswith("1.2   at least 1")
    assert budgets.Measure("ratio", 0.9, 1, (), True).fits is False


def test_every_word_that_is_kept_for_a_stored_format_still_stands_there() -> None:
    for place, words in budgets.STORED.items():
        text = (budgets.ROOT / budgets.PACKAGE / place).read_text("utf-8")
        assert {word for _, word in budgets._words(text)} >= words, place
