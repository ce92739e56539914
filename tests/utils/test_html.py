"""A page shows any text as it is, and needs nothing from outside."""

from music_reclass.utils import html as page

HOSTILE = "<script>alert(1)</script> & 'x' \"y\" \udcff \x1b[31m"


def test_markup_lone_bytes_and_control_characters_are_shown_not_obeyed() -> None:
    text = page.escape(HOSTILE)

    assert "<" not in text
    assert "'" not in text
    assert "\\udcff \\x1b[31m" in text
    text.encode()


def test_a_page_with_every_drawing_is_whole_and_self_contained() -> None:
    parts = [
        page.table((HOSTILE, "n"), [(HOSTILE, "1")]),
        page.plot([(0.1, 0.2), (0.9, 0.8)], HOSTILE, HOSTILE, diagonal=True, sizes=[1, 5]),
        page.matrix((HOSTILE, "Jazz"), ((3, 1), (0, 12_345)), "called"),
        page.bars([(HOSTILE, 3.0, HOSTILE, page.BLUE), ("none", 0.0, "0", page.RED)], HOSTILE),
        page.histogram(4, {HOSTILE: ((1, 0, 2, 0), page.GREEN)}, HOSTILE, HOSTILE),
    ]
    whole = page.document(HOSTILE, parts)

    whole.encode()
    assert "<script" not in whole
    assert "http" not in whole
    assert whole.count("<svg") == whole.count("</svg>") == 4
    assert whole.endswith("</html>")


def test_drawings_of_nothing_are_drawn() -> None:
    assert page.table(("a",), []) == ""
    assert "<svg" in page.bars([], "nothing")
    assert "<svg" in page.histogram(3, {"a": ((0, 0, 0), page.BLUE)}, "x", "y")
