"""In a real browser: sign in, play, decide by keyboard, take back, write, see the file change and change back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.library import Shell
from tests.web.conftest import let_an_album_be_unsure

webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is not installed")
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver (Debian) are not installed"
)
TOKEN = "a-token-of-tests"


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `found` gives as soon as it gives something."""
    from selenium.common.exceptions import StaleElementReferenceException

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if value := found():
                return value
        except StaleElementReferenceException:
            pass
        time.sleep(0.05)
    raise AssertionError("it does not come about")


class Page:
    """A browser that is signed in."""

    def __init__(self, base: str, driver: Any) -> None:
        self.base, self.driver = base, driver
        driver.get(f"{base}/?token={TOKEN}")

    def open(self, path: str) -> None:
        self.driver.get(self.base + path)

    def press(self, keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        until(lambda: self.run("document.documentElement.dataset.ready"))
        ActionChains(self.driver).send_keys(keys).perform()

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def run(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")

    def problems(self) -> list[str]:
        """What the console holds besides pictures that are not there."""
        said = [one["message"] for one in self.driver.get_log("browser")]
        return [one for one in said if self.base in one and "/cover" not in one]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[[], Any]]:
    """Makes browsers, which end with the module."""
    made: list[Any] = []

    def make() -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900",
                     "--autoplay-policy=no-user-gesture-required", "--mute-audio", "--disable-gpu"):  # fmt: skip
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        made.append(webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER)))
        return made[-1]

    yield make
    for driver in made:
        driver.quit()


@pytest.fixture(scope="module")
def browser(chromium: Callable[[], Any]) -> Any:
    return chromium()


@pytest.fixture
def server(scanned: Path, shell: Shell) -> Iterator[str]:
    """The address of a real server over the demo's library."""
    let_an_album_be_unsure(shell.db)
    line = [sys.executable, "-m", "music_reclass", "serve", "--port", "0", "--no-browser", "--token", TOKEN]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*line, "--db", str(shell.db)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert link, "the server does not start"
        yield link.split("/?")[0]
        process.terminate()


@pytest.fixture
def page(server: str, browser: Any) -> Page:
    browser.delete_all_cookies()
    return Page(server, browser)


def test_an_album_is_played_accepted_taken_back_and_left_by_keyboard(page: Page) -> None:
    page.open("/review")
    album = page.find(".album").get_attribute("data-album")
    page.press(" ")
    until(
        lambda: page.run("!document.querySelector('#audio').paused && document.querySelector('#audio').currentTime > 0")
    )
    until(lambda: page.run("peaks.length") == 1000)
    page.press(" ")
    until(lambda: page.run("audio.paused"))
    rows = page.all(".row")
    page.press("j")
    assert page.find(".row[aria-current]").get_attribute("data-track") == rows[min(1, len(rows) - 1)].get_attribute(
        "data-track"
    )
    page.press("a")
    until(lambda: "Nothing to review" in page.find("main").text)
    page.press("u")
    until(lambda: page.all(".album") and page.find(".album").get_attribute("data-album") == album)
    page.press("x")
    until(lambda: "Nothing to review" in page.find("main").text)
    assert page.problems() == []


def test_a_key_that_is_pressed_twice_decides_one_album(page: Page) -> None:
    page.open("/review")
    until(lambda: page.run("document.documentElement.dataset.ready"))
    page.driver.execute_script(
        "window.posts = 0; const fetched = window.fetch;"
        "window.fetch = (...order) => { if (order[1]?.method === 'POST') window.posts++; return fetched(...order); };"
        "answer('leave'); answer('leave'); undo();"
    )
    until(lambda: "Nothing to review" in page.find("main").text)
    assert page.run("window.posts") == 1
    page.press("u")
    until(lambda: page.all(".album"))


def test_a_genre_is_chosen_by_number_and_by_search_and_keys_do_nothing_within_a_field(page: Page) -> None:
    page.open("/review")
    choice = page.find(".choice").get_attribute("data-genre")
    page.press("1")
    until(lambda: "Nothing to review" in page.find("main").text)
    assert choice in page.find("#toast").text
    page.press("u")
    until(lambda: page.all(".album"))
    page.press("/")
    until(lambda: page.run("document.activeElement.id") == "genre-input")
    page.press("xujazz")  # x and u would leave and undo
    from selenium.webdriver.common.keys import Keys

    page.press(Keys.BACKSPACE * 6 + "jaz" + Keys.ENTER)
    until(lambda: "Nothing to review" in page.find("main").text)
    assert "Jazz" in page.find("#toast").text
    assert page.problems() == []


def test_a_decision_is_written_and_the_tag_is_seen_changed_and_back(page: Page, scanned: Path) -> None:
    page.open("/library")
    page.find(".row a").click()
    until(lambda: page.all(".spectrogram"))
    path = Path(page.find(".path").text)
    before = path.read_bytes()
    page.find("#other").send_keys("Zydeco")
    page.find("form[data-change] button").click()
    until(lambda: "You decided" in page.find("main").text)
    page.find("button[data-job=apply]").click()
    until(lambda: "is done" in page.find("#job").text)
    assert path.read_bytes() != before
    page.driver.refresh()
    until(lambda: "In the file: Zydeco" in page.find("main").text)
    page.open("/runs")
    page.find("button[data-job=undo]").click()
    page.driver.switch_to.alert.accept()
    until(lambda: "is done" in page.find("#job").text)
    assert path.read_bytes() == before


def test_the_library_is_searched_as_somebody_types(page: Page) -> None:
    page.open("/library")
    count = len(page.all(".row"))
    page.press("/")
    title = page.find(".row").get_attribute("data-title")
    page.find("#search").send_keys(title)
    until(lambda: 1 <= len(page.all(".row")) < count)
    assert page.find(".row").get_attribute("data-title") == title
    assert page.problems() == []


def test_the_map_is_drawn_and_a_point_that_is_clicked_plays(page: Page) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    page.open("/map")
    canvas = until(lambda: page.find("#map") if page.find("#map").get_attribute("data-ready") else None)
    assert int(canvas.get_attribute("data-ready")) > 2
    wide, high = canvas.size["width"], canvas.size["height"]
    half = round(0.94 * min(wide, high) / 2)
    for x, y in [(dx, dy) for dx in (-half, half, 0) for dy in range(-half, half, 8)]:  # some point lies at a border
        ActionChains(page.driver).move_to_element_with_offset(canvas, x, y).click().perform()
        if canvas.get_attribute("data-track"):
            break
    assert canvas.get_attribute("data-track")
    until(
        lambda: page.run("document.querySelector('#audio').src").endswith(
            f"/{canvas.get_attribute('data-track')}/audio"
        )
    )
    until(lambda: page.find("#map-text").text)
    until(lambda: int(canvas.get_attribute("data-alike") or 0) > 0)


def test_pages_fit_a_phone_and_a_missing_cover_leaves_no_hole(page: Page) -> None:
    screen = {"width": 375, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        for path in ("/", "/review", "/library", "/tracks/1", "/runs", "/models"):
            page.open(path)
            until(lambda: page.run("document.documentElement.dataset.ready"))
            assert page.run("document.documentElement.scrollWidth") <= 375, path
        page.open("/tracks/1")
        until(lambda: not page.find(".cover").is_displayed())
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_two_browsers_show_the_same(page: Page, chromium: Callable[[], Any]) -> None:
    other = Page(page.base, chromium())
    for one in (page, other):
        one.open("/review")
    page.press("a")
    until(lambda: "Nothing to review" in page.find("main").text)
    other.press("x")  # of the same album: the later answer counts, in both
    until(lambda: "Nothing to review" in other.find("main").text)
    for one in (page, other):
        one.open("/runs")
        until(lambda one=one: "leave it as it is" in one.find("main").text)
        assert one.problems() == []


def test_nobody_gets_in_without_the_link(page: Page) -> None:
    page.driver.delete_all_cookies()
    page.open("/library")
    assert "needs your link" in page.find("main").text
