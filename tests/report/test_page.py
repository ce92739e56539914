"""The page of a library shows every text, obeys none, and opens without a network."""

from pathlib import Path

from music_reclass.domain import Track
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.results import ExitAudits
from music_reclass.report.page import page_of
from music_reclass.report.summary import report_of
from tests.classification.fakes import CHEAP
from tests.classification.small_library import SmallLibrary, Tune, sure
from tests.report.conftest import TUNES


def test_the_page_shows_every_text_and_obeys_none(library: SmallLibrary) -> None:
    failed = [
        Track("/m/<b>bad", 1, 1, error=FailTrack("decode", "frame <1>")),
        Track("/m/quiet", 1, 1, error=SkipTrack("silence", "")),
    ]
    library.library.save(failed, CHEAP)
    ExitAudits(library.database).save(
        {"heard": 3, "early": 9, "judgements": [{"stage": "cheap", "alarm": True, "sentence": "9 % <lost>"}]}
    )

    page = page_of(report_of(library.database, library.cascade))

    page.encode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;" in page
    assert "\\udcff\\x1b[31m" in page
    assert "<b>bad" not in page
    assert "/m/&lt;b&gt;bad" in page
    assert "ALARM cheap: 9 % &lt;lost&gt;" in page
    assert "http" not in page
    assert page.count("<details>") == page.count("</details>") > 3


def test_a_list_that_was_cut_says_how_much_is_left_out(tmp_path: Path) -> None:
    tunes = [
        Tune(f"/m/{n}/{k}", sure("Rock"), sure("Rock"), ("Jazz",), f"a{n}", "One") for n in range(12) for k in range(11)
    ]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()

    page = page_of(report_of(library.database, library.cascade, most=10))

    assert "and 2 more albums" in page
    assert "and 3 more" in page
    assert "reclass export" in page


def test_a_library_without_decisions_has_a_page(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, TUNES)

    assert "No genre was decided yet" in page_of(report_of(library.database, library.cascade))
