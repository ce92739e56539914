"""Vectors are extracted once, and each is stored as it is done, whatever ends the extraction."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification import extract
from music_reclass.classification.extract import ExtractionRunner
from music_reclass.classification.reading import LocalBackend
from music_reclass.config import Settings
from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.errors import BundleError, ReclassError, TrackError
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.extractors.registry import extractor
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.utils.progress import Silent

CHEAP = FeatureKind("cheap", "1", 2, "mid30")
WHOLE = extractor("fma518", "mid30").kind  # any kind that a worker computes whole


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "library.sqlite3")


@pytest.fixture
def tracks(database: Database, tmp_path: Path) -> list[tuple[int, str]]:
    """Three tunes and one that cannot be decoded any more."""
    readings = []
    for number in range(4):
        path = tmp_path / f"{number}.wav"
        encode(path, song(seed=number, seconds=6))
        status = os.stat(path)
        vector = np.ones(2, np.float32)
        digest = bytes([number])
        readings.append(Track(str(path), status.st_size, status.st_mtime_ns, digest, 6.0, TrackTags(), (), vector))
    (tmp_path / "3.wav").write_text("no sound any more")
    ids = Library(database).save(readings, CHEAP)
    return [(track, reading.path) for track, reading in zip(ids, readings, strict=True)]


def never() -> bool:
    return False


def runner(database: Database, **settings: object) -> ExtractionRunner:
    return ExtractionRunner(database, LocalBackend(Settings(jobs=1, device="cpu", precision="fp32", **settings)))  # type: ignore[arg-type]


def test_what_workers_compute_whole_is_stored_and_failures_are_named(
    database: Database, tracks: list[tuple[int, str]]
) -> None:
    found = runner(database).extract(tracks, WHOLE, never, Silent())
    ids = [track for track, _ in tracks]
    assert [track for track in ids if found[track] is None] == ids[:3]
    assert isinstance(found[ids[3]], TrackError)
    assert Library(database).having(ids, WHOLE) == set(ids[:3])


def test_damaged_weights_of_a_network_in_workers_are_named_and_no_recording_is_blamed(
    database: Database, tracks: list[tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    from tests.extractors import small_models

    kind = small_models.small_musicnn().kind
    os.truncate(tmp_path / "models" / "musicnn" / "model.safetensors", 10_000)
    with pytest.raises(ReclassError, match=r"is no whole safetensors file .* install the model again"):
        runner(database).extract(tracks, kind, never, Silent())


def test_whoever_wants_to_stop_waits_for_nothing_new(database: Database, tracks: list[tuple[int, str]]) -> None:
    assert runner(database).extract(tracks, WHOLE, lambda: True, Silent()) == {}


def test_a_kind_that_what_is_installed_does_not_make_is_refused(
    database: Database, tracks: list[tuple[int, str]]
) -> None:
    older = FeatureKind("fma518", "0", 518, "mid30")
    with pytest.raises(BundleError, match="fma518/0/mid30"):
        runner(database).extract(tracks, older, never, Silent())


class TestNetworks:
    """Kinds that go through one network, here a small one with random weights."""

    @pytest.fixture(autouse=True)
    def _small_mert(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("transformers")
        from music_reclass.extractors import mert
        from tests.extractors import small_models

        monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
        monkeypatch.setattr(mert, "BASE", small_models.VARIANT)
        self.kind = small_models.small_mert().kind

    def test_one_network_serves_all_tracks_and_failures_are_named(
        self, database: Database, tracks: list[tuple[int, str]]
    ) -> None:
        from music_reclass.extractors.audio import load as audio
        from tests.extractors import small_models

        running = runner(database)
        found = running.extract(tracks, self.kind, never, Silent())
        ids = [track for track, _ in tracks]
        assert [track for track in ids if found[track] is None] == ids[:3]
        assert isinstance(found[ids[3]], TrackError)
        stored = Library(database).vectors(ids, self.kind)
        assert stored.keys() == set(ids[:3])
        samples = audio.load(Path(tracks[0][1]), "mid30", 24000).samples
        assert np.allclose(stored[ids[0]], small_models.small_mert().vector(samples), atol=1e-5)
        assert running.backend.in_pieces == 0
        running.release()
        assert running.extract(tracks[1:2], self.kind, never, Silent()) == {ids[1]: None}

    def test_what_was_extracted_is_stored_even_if_the_end_comes_at_once(
        self, database: Database, tracks: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Impatient(Silent):
            def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
                self.count = getattr(self, "count", 0) + count
                if self.count == 3:
                    raise KeyboardInterrupt

        monkeypatch.setattr(extract, "SAVE_SECONDS", 1e9)
        with pytest.raises(KeyboardInterrupt):
            runner(database).extract(tracks[:3], self.kind, never, Impatient())
        assert len(Library(database).having([track for track, _ in tracks], self.kind)) == 3


def test_what_the_same_pass_gives_besides_is_stored_too(
    database: Database, tracks: list[tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.extractors import small_models

    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    embedding, tags = small_models.small_musicnn().kind, small_models.small_musicnn_tags().kind
    ids = [track for track, _ in tracks]
    runner(database).extract(tracks, tags, never, Silent())
    assert Library(database).having(ids, embedding) == Library(database).having(ids, tags) == set(ids[:3])
