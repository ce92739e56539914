"""A scan finds files, reads the new ones, decides all, and says what it did; files that cannot be read stop nothing."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from music_reclass.classification import scan as scan_module
from music_reclass.classification.reading import path_of
from music_reclass.classification.scan import ScanRequest, scan
from music_reclass.classification.voter import Cascade
from music_reclass.config import Settings
from music_reclass.domain import FeatureKind
from music_reclass.errors import BundleError, NothingToDo
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.results import ScanStats
from music_reclass.features.scope import Scope
from music_reclass.models.bundle import embedded
from music_reclass.taxonomy import load
from music_reclass.utils.files import walk
from music_reclass.utils.progress import Silent, StopRequest
from tests.classification.fakes import echo_stage

SETTINGS = Settings(jobs=1)
ONE = Cascade.from_bundles([embedded()], load())


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder with two tunes, a file that only looks like one, and a text."""
    folder = tmp_path / "Music"
    folder.mkdir()
    for number in range(2):
        encode(folder / f"{number}.wav", song(seed=number, seconds=6))
    broken = (folder / "0.wav").read_bytes()[:60]
    (folder / "broken.wav").write_bytes(broken)
    (folder / "notes.txt").write_text("no music")
    return folder


def silent(title: str, total: int | None) -> Any:
    return nullcontext(Silent())


def run(database: Database, *roots: Path, stop: StopRequest | None = None, **request: Any) -> ScanStats:
    wanted = ScanRequest(tuple(map(str, roots)), **request)
    return scan(Scope(database), wanted, ONE, SETTINGS, stop=stop or StopRequest(), bar=silent)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "library.sqlite3")


def test_new_files_are_read_and_decided_and_known_ones_are_left_alone(database: Database, music: Path) -> None:
    stats = run(database, music)

    assert (stats.found, stats.new, stats.read, stats.decided, stats.stopped) == (3, 3, 3, 2, False)
    assert stats.seconds.keys() == {"discover", "read", "decide"}
    assert (stats.stages["fma518"].extracted, stats.stages["fma518"].seconds) == (
        3,
        pytest.approx(stats.seconds["read"]),
    )
    tracks = {os.path.basename(track.path): track for track in Decisions(database).below()}
    assert tracks["0.wav"].decision is not None
    assert tracks["broken.wav"].decision is None
    assert tracks["broken.wav"].error is not None

    again = run(database, music)
    assert (again.known, again.read, again.decided) == (3, 0, 0)
    assert run(database, music, rescan=True).read == 3


@dataclass
class HereAndNow:
    """A backend that reads in this process."""

    read: list[str] = field(default_factory=list)
    in_pieces = 0
    bottleneck = ""
    places: ClassVar[dict[str, str]] = {}

    def map(self, read: Any, items: Any, stop: Any) -> Generator[tuple[Any, Any], None, None]:
        for item in items:
            self.read.append(os.path.basename(path_of(item)))
            yield item, read(item)

    def embed(self, tracks: Any, kind: FeatureKind, stop: Any) -> Generator[tuple[Any, Any], None, None]:
        raise AssertionError("no stage has a network")
        yield

    def release(self) -> None:
        """Nothing to free."""


def test_files_are_read_where_the_backend_reads_them(database: Database, music: Path) -> None:
    backend = HereAndNow()
    request = ScanRequest((str(music),))
    stats = scan(Scope(database), request, ONE, SETTINGS, stop=StopRequest(), bar=silent, backend=backend)
    assert (stats.read, stats.decided, sorted(backend.read)) == (3, 2, ["0.wav", "1.wav", "broken.wav"])


class OneAfterTheOther(HereAndNow):
    """It says what else happened when it had read a file."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def map(self, read: Any, items: Any, stop: Any) -> Generator[tuple[Any, Any], None, None]:
        for item, answer in super().map(read, items, stop):
            self.events.append(f"read {self.read[-1]}")
            yield item, answer


def test_reading_begins_with_the_first_files_that_are_found(
    database: Database, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("later", "last"):
        (music / name).mkdir()
        encode(music / name / f"{name}.wav", song(seed=len(name), seconds=6))
    backend = OneAfterTheOther()

    def walked(*roots: Any, **options: Any) -> Any:
        for file in walk(*roots, **options):
            backend.events.append(f"found {os.path.basename(file.path)}")
            yield file

    monkeypatch.setattr(scan_module, "walk", walked)
    monkeypatch.setattr(scan_module, "WALK_BATCH", 1)
    stats = scan(
        Scope(database), ScanRequest((str(music),)), ONE, SETTINGS, stop=StopRequest(), bar=silent, backend=backend
    )
    # a step of the walk is taken after each file that was read
    assert backend.events[:4] == ["found 0.wav", "read 0.wav", "found 1.wav", "read 1.wav"]
    assert [event for event in backend.events if event.startswith("read")] == [
        f"read {name}" for name in ("0.wav", "1.wav", "broken.wav", "last.wav", "later.wav")
    ]  # folder by folder
    assert (stats.found, stats.read, stats.decided) == (5, 5, 4)


def test_a_library_without_changes_starts_no_worker(database: Database, music: Path) -> None:
    class Idle(HereAndNow):
        def map(self, read: Any, items: Any, stop: Any) -> Generator[tuple[Any, Any], None, None]:
            raise AssertionError("workers were started")
            yield

    run(database, music)
    request = ScanRequest((str(music),))
    stats = scan(Scope(database), request, ONE, SETTINGS, stop=StopRequest(), bar=silent, backend=Idle())
    assert (stats.known, stats.read, stats.seconds["read"] >= 0) == (3, 0, True)


def test_the_bar_learns_the_total_when_all_files_are_found_and_what_slows_the_work(
    database: Database, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    class Noted(Silent):
        def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
            seen.append(limit)

        def foresee(self, total: int | None, later: float | None) -> None:
            seen.append((total, later))

    backend = HereAndNow()
    monkeypatch.setattr(backend, "bottleneck", "disk")
    monkeypatch.setattr(scan_module, "WALK_BATCH", 2)
    request = ScanRequest((str(music),))

    def bar(title: str, total: int | None) -> Any:
        return nullcontext(Noted() if title == "reading" else Silent())

    scan(Scope(database), request, ONE, SETTINGS, stop=StopRequest(), bar=bar, backend=backend)
    assert seen == [(None, None), "disk", (None, None), "disk", (3, 0.0), "disk"]


def test_files_that_are_gone_are_marked_unless_only_a_part_was_looked_at(database: Database, music: Path) -> None:
    run(database, music)
    os.remove(music / "1.wav")

    assert run(database, music, include=("0*",)).gone == 0
    assert run(database, music).gone == 1


def test_a_folder_that_is_not_there_or_holds_no_music_is_nothing_to_do(database: Database, tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="does not exist"):
        run(database, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDo, match="No audio files below"):
        run(database, tmp_path / "empty")


def test_a_stopped_scan_says_so_and_the_next_one_goes_on(database: Database, music: Path) -> None:
    stop = StopRequest()
    stop.requested = True

    stopped = run(database, music, stop=stop)

    assert (stopped.stopped, stopped.read, stopped.decided) == (True, 0, 0)
    assert run(database, music).decided == 2


def test_a_scan_that_is_stopped_while_it_looks_for_files_ends_there(database: Database, music: Path) -> None:
    stop = StopRequest()
    stop.requested = True
    stats = run(database, music, stop=stop)  # nothing was found: that is no mistake in the path
    assert (stats.stopped, stats.found, stats.gone) == (True, 0, 0)


def test_a_first_stage_that_was_trained_on_other_features_is_refused(database: Database, music: Path) -> None:
    stage = echo_stage("fma518", (FeatureKind("fma518", "0", 518, "mid30"),))

    with pytest.raises(BundleError, match="cannot be compared"):
        scan(Scope(database), ScanRequest((str(music),)), Cascade((stage,), load()), SETTINGS, stop=StopRequest())
