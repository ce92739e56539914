"""Responses of real servers, replayed through our readers; and what we read of the fake's stands in theirs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from music_reclass.plex.http import Client, Server
from music_reclass.plex.model import Section, carries_genres, item_of, listed_of, section_of
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import connected

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "plex_recorded"
pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="../shared/data/plex_recorded is not here")

# Nobody had set these on the servers that were recorded (1.3 to 1.20), or they came later: genres of tracks with 1.40.
NOT_RECORDED = {("Track", "Genre"), ("Track", "Field")} | {
    (kind, field) for kind in ("Track", "Directory") for field in ("Label", "Style")
}


def xml_of(tag: str, value: dict[str, Any]) -> Element:
    """An element from the JSON that the same server sends for it."""
    element = Element(tag)
    for name, content in value.items():
        if isinstance(content, list):
            for one in content:
                kind = one.get("type", "")
                child = {"Metadata": "Track" if kind == "track" else "Directory"}.get(name, name)
                element.append(xml_of(child, one))
        elif not isinstance(content, dict):
            element.set(name, str(int(content)) if isinstance(content, bool) else str(content))
    return element


@cache
def page(name: str) -> Element:
    """One recorded response: of perplexed in JSON, of Home Assistant in XML."""
    path = RECORDED / "perplexed" / f"{name}.json"
    if path.exists():
        return xml_of("MediaContainer", json.loads(path.read_text(encoding="utf-8"))["MediaContainer"])
    return ElementTree.parse(RECORDED / "ha" / f"{name}.xml").getroot()


def names() -> list[str]:
    """All that is recorded."""
    return sorted(path.stem for path in RECORDED.rglob("*.json")) + sorted(
        path.stem for path in RECORDED.rglob("*.xml")
    )


class Replay:
    """A client that answers with what was recorded of one server, as far as its pages go."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def clock(self) -> float:
        return 0.0

    def get(self, path: str, headers: dict[str, str] | None = None) -> Element:
        self.asked.append(path)
        if (headers or {}).get("X-Plex-Container-Start", "0") not in ("0",):
            return Element("MediaContainer")
        for pattern, name in (
            ("/library/sections$", "library~sections"), (r".*/1/all\?type=10", "library~tracks"),
            (r".*/1/genre\?", "library~genres"), (r".*/metadata/35341\?", "library~track"),
            (r".*/metadata/40812\?", "library~album"), (r".*/metadata/8670\?", "library~artist"),
        ):  # fmt: skip
            if re.match(pattern, path):
                return page(name)
        return Element("MediaContainer")


def replayed() -> tuple[Server, Replay]:
    replay = Replay()
    client: Any = replay
    return Server(client), replay


def test_the_library_of_a_real_server_is_found_and_its_tracks_are_listed_with_their_files() -> None:
    server, replay = replayed()
    section = server.music()
    assert (section.key, section.title, section.locations) == (1, "Music", ("/mnt/data/music",))
    tracks = list(server.tracks(section))
    assert len(tracks) == 30
    assert all(one.key and one.album_key and one.artist_key and one.title and one.seconds for one in tracks)
    assert all(path.startswith("/mnt/data/music/") for one in tracks for path in one.files)
    assert len(replay.asked) == 3  # the libraries, the page that was recorded, and the one after it


def test_whole_items_of_a_real_server_are_read_with_their_tags_and_locks() -> None:
    server, replay = replayed()
    track, album, artist = (server.items([key])[key] for key in (35341, 40812, 8670))
    assert (track.level, track.title, track.artist) == ("track", "Sorry", "The Moth & The Flame")
    assert track.files == ("/mnt/data/music/albums/The Moth & The Flame/&/01 Sorry.mp3",)
    assert (album.level, album.value("genre")) == ("album", ("General Pop", "Other Pop", "Pop"))
    assert (artist.level, artist.title, artist.locked) == ("artist", "Jeff Buckley", frozenset({"genre"}))
    assert all("skipRefresh=1" in path for path in replay.asked)


def test_the_genres_of_a_real_library_are_read_by_name() -> None:
    server, _ = replayed()
    found = server.names(server.music(), "genre", "track")
    assert len(found) == 572
    assert "Acid Jazz" in found


def items() -> Iterator[Element]:
    for name in names():
        yield from (
            one for one in page(name).iter() if one.get("ratingKey") and one.get("type") in ("track", "album", "artist")
        )


def test_every_recorded_track_album_and_artist_is_read() -> None:
    count = {"track": 0, "album": 0, "artist": 0}
    for element in items():
        item = item_of(element)
        assert item is not None
        count[item.level] += 1
        assert item.key == int(element.attrib["ratingKey"])
        assert item.title == element.attrib["title"]
        genres = [one.attrib["tag"] for one in element if one.tag == "Genre"]
        assert item.value("genre") == tuple(dict.fromkeys(genres))
        if item.level == "track":
            listed = listed_of(element)
            assert listed.files == item.files
            assert all(path.startswith("/") for path in item.files)
            assert listed.album == item.album == element.get("parentTitle", "")
    assert count["track"] > 80
    assert count["album"] > 2400
    assert count["artist"] > 180


@pytest.mark.parametrize(("name", "count"), [("library_sections", 1), ("two_locations", 1), ("library~sections", 1)])
def test_the_libraries_of_real_servers_are_read(name: str, count: int) -> None:
    music = [one for one in map(section_of, page(name)) if one.is_music]
    assert len(music) == count
    assert all(isinstance(one, Section) and one.key and one.locations and not one.refreshing for one in music)
    if name == "two_locations":
        assert music[0].locations == ("/cocoariver", "/media/music")
        assert music[0].scanned == "1622167420"


def test_an_older_server_says_that_its_tracks_carry_no_genre() -> None:
    described = page("library_music_metadata")
    assert carries_genres(described, "album")
    assert not carries_genres(described, "track")


class Watched(dict[str, str]):
    """Attributes that remember which of them are read."""

    def __init__(self, tag: str, values: dict[str, str], reads: dict[tuple[str, str], str]) -> None:
        super().__init__(values)
        self._tag, self._reads = tag, reads

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            self._reads[self._tag, name] = dict.__getitem__(self, name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self._reads[self._tag, name] = super().__getitem__(name)
        return self._reads[self._tag, name]


def is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def test_whatever_we_read_of_the_fake_server_real_ones_send_in_the_same_shape(
    fake: FakePlex, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: dict[tuple[str, str], str] = {}
    inside: set[tuple[str, str]] = set()
    get = Client.get

    def watched(self: Client, *words: Any) -> Element:
        found = get(self, *words)
        for one in found.iter():
            inside.update((one.tag, child.tag) for child in one)
            one.attrib = Watched(one.tag, one.attrib, reads)  # type: ignore[misc]
        return found

    tracks = fake.album("Ada", "Blue", 3, genres=["Folk"], styles=["Fingerstyle"])
    tracks[0].locked.add("genre")
    server = connected(fake)
    monkeypatch.setattr(Client, "get", watched)
    section = server.music()
    assert server.carries_genres(section, "album")
    assert list(server.tracks(section))
    assert server.items(fake.things)
    server.names(section, "genre", "album")

    sent: dict[tuple[str, str], list[str]] = {}
    shapes: set[tuple[str, str]] = set()
    for name in names():
        for one in page(name).iter():
            shapes.update((one.tag, child.tag) for child in one)
            for key, value in one.attrib.items():
                sent.setdefault((one.tag, key), []).append(value)
    assert len(reads) > 20
    strange = {read for read in reads if read not in sent and read[0] not in ("Style", "Label")}
    assert not strange
    for read, value in reads.items():
        if read in sent and read[1] not in ("title", "parentTitle", "grandparentTitle", "tag", "path", "file"):
            assert any(is_number(value) == is_number(one) for one in sent[read]), read
    assert inside - shapes <= NOT_RECORDED
