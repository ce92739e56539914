"""The picture is made where matplotlib is, and nothing is written over by a slip."""

import math
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Vote
from music_reclass.errors import MissingExtra, UsageError
from music_reclass.explain import plot
from music_reclass.explain.plot import WindowVotes, check_ending, draw, lines
from music_reclass.utils import lazy

TITLE, VERDICT = "a $file$ 日本.flac", "Jazz 61 %, likely"
LEVELS = ((0.5, "likely from 50 %"), (0.8, "confident from 80 %"))
GENRES = ("Jazz", "Rock", "Pop", "Folk", "Blues", "Latin", "Reggae", "Country")


def window_votes(votes: list[tuple[float, ...] | None], duration: float = 60.0) -> WindowVotes:
    cast = tuple(None if v is None else Vote("s", dict(zip(GENRES, v, strict=False))) for v in votes)
    starts = tuple(float(n) for n in range(len(votes)))
    sound = 0.1 * np.random.default_rng(0).normal(size=44100 * 3)
    return WindowVotes("s", starts, 30.0, cast, duration, (15.0, 45.0), sound.astype(np.float32), 44100)


def test_the_picture_is_a_png_of_readable_size() -> None:
    content = draw(window_votes([(0.7, 0.3), None, (0.4, 0.6)]), TITLE, VERDICT, levels=LEVELS)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    assert width >= 1000
    assert 0.5 < height / width < 0.9


def test_an_svg_holds_its_words() -> None:
    assert b"<svg" in draw(window_votes([(0.7, 0.3), (0.4, 0.6)]), TITLE, VERDICT, ending=".SVG")


def svg_text(title: str, verdict: str = VERDICT) -> str:
    """The picture as SVG whose words are text."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        return draw(window_votes([(0.7, 0.3), (0.4, 0.6)]), title, verdict, ending=".svg").decode()


def test_a_long_name_is_cut_before_the_edge_of_the_picture() -> None:
    found = svg_text("椎名林檎" * 30 + "x" * 30 + "_1.flac", "Jazz " * 60 + "end")
    assert "_1.flac</text>" in found
    assert "椎名林檎" * 12 not in found
    assert found.count("…") == 2


def test_letters_that_the_first_font_lacks_come_from_fonts_that_are_installed(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(plot, "_CJK", ("No Such Font", "DejaVu Serif"))
    found = svg_text("日本")
    assert "DejaVu Serif" in found
    assert "No Such Font" not in found
    assert not recwarn.list


def test_likely_genres_get_lines_and_the_others_none() -> None:
    flat = (0.3, 0.25, 0.2, 0.15, 0.05, 0.03, 0.01, 0.01)
    found = lines(window_votes([flat, None, flat]))
    assert [name for name, _ in found] == ["Jazz", "Rock", "Pop", "Folk"]
    assert math.isnan(found[0][1][1])
    assert found[0][1][2] == 0.3


def test_a_genre_that_comes_first_anywhere_has_a_line_and_six_are_enough() -> None:
    even = tuple(0.125 for _ in GENRES)
    last = (0.1,) * 7 + (0.3,)
    found = lines(window_votes([even, even, even, last]))
    assert len(found) == 6
    assert "Country" in [name for name, _ in found]


def test_all_silence_still_makes_a_picture() -> None:
    assert lines(window_votes([None, None])) == []
    assert draw(window_votes([None, None]), TITLE, VERDICT, levels=LEVELS)


@pytest.mark.parametrize("name", ["song.flac", "why", "why.txt"])
def test_a_name_that_is_no_pictures_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"\.png"):
        check_ending(Path(name))


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ModuleNotFoundError(name=name.split(".")[0])

    monkeypatch.setattr(lazy.importlib, "import_module", gone)
    with pytest.raises(MissingExtra, match=r"music_reclass\[plots\]"):
        check_ending(Path("why.png"))
