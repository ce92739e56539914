"""Ctrl-C while a network loads or computes, here or in processes of several devices: what is done is stored."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification import extract
from music_reclass.classification.extract import ExtractionRunner
from music_reclass.classification.reading import LocalBackend
from music_reclass.config import Settings
from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.errors import ReclassError
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.utils.progress import Silent, orderly_stop

pytest.importorskip("torch")

CHEAP = FeatureKind("cheap", "1", 2, "mid30")
COUNT = 12


class Notes(Silent):
    """Keeps what is shown beside the bar, and calls `react` with each."""

    def __init__(self, react: Callable[[str], object] = lambda note: None) -> None:
        self.seen: list[str] = []
        self._react = react

    def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
        if note:
            self.seen.append(note)
            self._react(note)


@pytest.fixture(scope="module")
def tunes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A dozen names of three tunes."""
    folder = tmp_path_factory.mktemp("tunes")
    for number in range(3):
        encode(folder / f"{number:02}.wav", song(seed=number, seconds=6))
    for number in range(3, COUNT):
        (folder / f"{number:02}.wav").symlink_to(folder / f"{number % 3:02}.wav")
    return sorted(folder.iterdir())


@pytest.fixture
def database(tmp_path: Path, tunes: list[Path]) -> Database:
    opened = Database(tmp_path / "library.sqlite3")
    vector = np.ones(2, np.float32)
    Library(opened).save(
        [Track(str(path), 1, 1, path.name.encode(), 6.0, TrackTags(), (), vector) for path in tunes], CHEAP
    )
    return opened


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureKind:
    """A kind of a small network that other processes can open too, as its shape is in a file beside the weights."""
    from tests.extractors import small_models

    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(extract, "SAVE_SECONDS", 1e9)
    return small_models.small_genre_hubert().kind


def tracks(database: Database, tunes: list[Path]) -> list[tuple[int, str]]:
    return [(number + 1, str(path)) for number, path in enumerate(tunes)]


def runner(database: Database, device: str) -> ExtractionRunner:
    return ExtractionRunner(database, LocalBackend(Settings(jobs=1, device=device, precision="fp32")))


@pytest.mark.parametrize("device", ["cpu", "cpu,cpu"])
@pytest.mark.parametrize("moment", ["loading", "third track"])
def test_ctrl_c_ends_in_order_and_what_is_done_is_stored(
    device: str, moment: str, kind: FeatureKind, database: Database, tunes: list[Path]
) -> None:
    def interrupt(note: str) -> None:
        if len(notes.seen) == (1 if moment == "loading" else 4):
            os.kill(os.getpid(), signal.SIGINT)

    notes, wanted, library = Notes(interrupt), tracks(database, tunes), Library(database)
    with orderly_stop() as stop:
        found = runner(database, device).extract(wanted, kind, lambda: bool(stop), notes)
    assert stop
    assert notes.seen[0] == f"loading {kind.name}"
    assert len(found) in ([0] if moment == "loading" else range(3, 7))
    assert set(found.values()) <= {None}
    assert library.having(range(1, COUNT + 1), kind) == set(found)
    assert multiprocessing.active_children() == []
    if device == "cpu,cpu" and found:  # the vectors are those of one device
        before = library.vectors(found, kind)
        runner(database, "cpu").extract(wanted, kind, lambda: False, Silent())
        after = library.vectors(found, kind)
        assert all(np.allclose(before[track], after[track], rtol=0, atol=1e-6) for track in found)


def test_each_loading_is_announced_once(kind: FeatureKind, database: Database, tunes: list[Path]) -> None:
    wanted, running, notes = tracks(database, tunes), runner(database, "cpu"), Notes()
    for page in (wanted[:1], wanted[1:2]):
        running.extract(page, kind, lambda: False, notes)
    running.release()
    running.extract(wanted[2:3], kind, lambda: False, notes)
    loading = f"loading {kind.name}"
    assert notes.seen == [loading, "00.wav", "01.wav", loading, "02.wav"]


def test_a_second_ctrl_c_ends_at_once_and_stores_what_came_before(
    kind: FeatureKind, database: Database, tunes: list[Path]
) -> None:
    done = []

    def insist(note: str) -> None:
        if not note.startswith("loading"):
            done.append(note)
            if len(done) == 2:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

    with orderly_stop(), pytest.raises(KeyboardInterrupt):
        runner(database, "cpu").extract(tracks(database, tunes), kind, lambda: False, Notes(insist))
    assert len(Library(database).having(range(1, COUNT + 1), kind)) == 2
    assert multiprocessing.active_children() == []


def test_a_list_of_devices_that_are_not_there_is_said_before_anything_starts(
    kind: FeatureKind, database: Database, tunes: list[Path]
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    with pytest.raises(ReclassError, match="There is no device 'cuda:0' here"):
        runner(database, "cuda:0,cuda:1").extract(tracks(database, tunes), kind, lambda: False, Silent())
