"""The drawings of a page show the numbers they were given: lengths, shades, titles and ticks."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.utils import html
from music_reclass.utils.html import BLUE, GREEN, RED


def drawn(text: str) -> ElementTree.Element:
    """The drawing, parsed: malformed markup fails here."""
    return ElementTree.fromstring(text)


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter("text")]


def titles(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter("title")]


def test_the_title_of_a_document_is_text_and_its_parts_are_markup() -> None:
    page = html.document("a <b>", ["<h1>x</h1>", "<p>y</p>"], "h1{color:red}")
    assert "<title>a &lt;b&gt;</title>" in page
    assert "<h1>x</h1>\n<p>y</p>" in page
    assert page.index("color:red") < page.index("</style>")


def test_a_table_keeps_the_order_of_its_cells_and_escapes_each() -> None:
    made = drawn(html.table(("name", "n"), [("<a>", "1"), ("b & c", "2")]))
    assert [[cell.text for cell in row] for row in made] == [["name", "n"], ["<a>", "1"], ["b & c", "2"]]


def test_a_line_break_in_a_cell_is_shown_as_one() -> None:
    assert "<td>a\\nb\\tc</td>" in html.table(("x",), [("a\nb\tc",)])


def test_letters_of_any_script_stay_as_they_are() -> None:
    assert html.escape("Ænima 音楽 Хип-хоп 🎵") == "Ænima 音楽 Хип-хоп 🎵"


@settings(max_examples=40, deadline=None)
@given(st.text())
def test_any_text_comes_out_as_harmless_markup(text: str) -> None:
    shown = html.escape(text)
    assert not set("<>\"'") & set(shown)
    assert shown.isprintable() or not shown
    shown.encode()


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=20))
def test_printable_text_reads_as_it_was(text: str) -> None:
    assert (ElementTree.fromstring(f"<a>{html.escape(text)}</a>").text or "") == text


def test_the_longest_bar_belongs_to_the_largest_value_and_the_others_are_in_proportion() -> None:
    made = drawn(html.bars([("Rock", 40.0, "40", BLUE), ("Jazz", 10.0, "10", RED), ("Pop", 0.0, "0", RED)], "genres"))
    widths = [float(bar.get("width", "")) for bar in made.iter("rect")]
    assert widths == [260.0, 65.0, 0.0]
    assert texts(made) == ["Rock", "40", "Jazz", "10", "Pop", "0"]
    assert made.get("aria-label") == "genres"


def test_a_drawing_is_as_high_as_it_has_bars() -> None:
    heights = [
        float(drawn(html.bars([("a", 1.0, "1", BLUE)] * rows, "x")).get("viewBox", "").split()[3]) for rows in (1, 3)
    ]
    assert heights[1] - heights[0] == 2 * 24


def test_the_shade_of_a_field_is_its_share_of_the_row_and_its_colour_says_whether_it_is_right() -> None:
    made = drawn(html.matrix(("Jazz", "Rock"), ((3, 1), (0, 0)), "called"))
    fields = list(made.iter("rect"))
    assert [field.get("fill-opacity") for field in fields] == ["0.750", "0.250", "0.000", "0.000"]
    assert [field.get("fill") for field in fields] == [GREEN, RED, RED, GREEN]
    assert titles(made) == ["Jazz called Jazz: 3", "Jazz called Rock: 1", "Rock called Jazz: 0", "Rock called Rock: 0"]


def test_a_large_count_is_short_in_its_field_and_whole_in_its_title() -> None:
    made = drawn(html.matrix(("Jazz",), ((12_345,),), "called"))
    assert "12k" in texts(made)
    assert titles(made) == ["Jazz called Jazz: 12,345"]
    assert "999" in texts(drawn(html.matrix(("Jazz",), ((999,),), "called")))


def test_a_field_without_tracks_holds_no_number() -> None:
    assert texts(drawn(html.matrix(("Jazz", "Rock"), ((0, 0), (0, 0)), "called"))).count("0") == 0


def test_rows_and_names_that_do_not_fit_are_an_error_and_not_a_wrong_picture() -> None:
    with pytest.raises(ValueError, match="shorter"):
        html.matrix(("Jazz", "Rock"), ((1, 0),), "called")


def test_a_line_runs_from_the_lower_left_to_the_upper_right() -> None:
    made = drawn(html.plot([(0.0, 0.0), (1.0, 1.0)], "confidence", "share right"))
    (line,) = made.iter("polyline")
    (x0, y0), (x1, y1) = (map(float, pair.split(",")) for pair in line.get("points", "").split())
    assert x1 - x0 == y0 - y1 == 300
    assert made.get("aria-label") == "share right by confidence"


def test_the_diagonal_is_drawn_where_it_is_asked_for() -> None:
    points = [(0.5, 0.5)]
    assert "stroke-dasharray" in html.plot(points, "x", "y", diagonal=True)
    assert "stroke-dasharray" not in html.plot(points, "x", "y")


def test_a_dot_of_more_rows_is_larger_and_says_how_many_they_are() -> None:
    made = drawn(html.plot([(0.2, 0.1), (0.9, 0.8)], "x", "y", sizes=[1, 100]))
    radii = [float(dot.get("r", "")) for dot in made.iter("circle")]
    assert radii == [2.6, 8.0]
    assert titles(made) == ["1 rows", "100 rows"]
    assert titles(drawn(html.plot([(0.2, 0.1)], "x", "y"))) == []


def test_a_curve_without_a_point_is_still_a_drawing() -> None:
    made = drawn(html.plot([], "x", "y", sizes=[]))
    assert not list(made.iter("circle"))


def test_the_columns_of_a_histogram_stand_on_each_other_and_name_their_span() -> None:
    made = drawn(html.histogram(2, {"sure": ((1, 3), GREEN), "not": ((1, 0), RED)}, "confidence", "how sure"))
    columns = [one for one in made.iter("rect") if one.get("width") != "11"]
    assert titles(made) == ["sure, 0.00 to 0.50: 1", "not, 0.00 to 0.50: 1", "sure, 0.50 to 1.00: 3"]
    first, second, third = ((float(one.get("y", "")), float(one.get("height", ""))) for one in columns)
    assert second[0] + second[1] == pytest.approx(first[0], abs=0.1)  # the second begins where the first ends
    assert third == (24.0, 200.0)  # the tallest column fills the drawing


def test_the_scale_of_a_histogram_is_the_tallest_column() -> None:
    shown = texts(drawn(html.histogram(2, {"a": ((1500, 500), GREEN)}, "x", "y")))
    assert "1,500" in shown
    assert "750" in shown


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20))
def test_every_point_of_the_unit_square_lies_within_the_drawing(points: list[tuple[float, float]]) -> None:
    text = html.plot(points, "x", "y")
    wide, high = map(float, re.findall(r"viewBox='0 0 ([\d.]+) ([\d.]+)'", text)[0])
    for dot in drawn(text).iter("circle"):
        assert 0 <= float(dot.get("cx", "")) <= wide
        assert 0 <= float(dot.get("cy", "")) <= high


def test_a_long_name_beside_a_drawing_is_cut_and_whole_where_the_pointer_rests() -> None:
    name = "Neo-Psychedelic <Space> Rock of the North"
    for drawing in (html.bars([(name, 1.0, "1", html.BLUE)], "bars"), html.matrix([name], [[1]], "as")):
        shown = re.findall(r">([^<>]*…[^<>]*)<", drawing)
        assert shown
        assert all(len(text) <= 18 for text in shown)
        assert "<title>Neo-Psychedelic &lt;Space&gt; Rock of the North</title>" in drawing


def test_a_page_on_a_narrow_screen_scrolls_its_tables_and_breaks_long_words() -> None:
    page = html.document("t", [html.table(("a",), [["b"]])])
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert re.search(r"body\{[^}]*overflow-wrap:anywhere", style)
    assert re.search(r"table\{[^}]*overflow-x:auto[^}]*max-width:100%", style)
    assert "svg{max-width:100%" in style
