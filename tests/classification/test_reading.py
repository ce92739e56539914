"""What a worker gives back for one file."""

import os
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soxr
from mutagen.flac import FLAC

from music_reclass.classification.reading import ReadTask, read_file, read_vector, read_windows_of
from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors import registry
from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.extractors.registry import extractor
from music_reclass.extractors.weights import catalogue, install
from tests.classification.fakes import Loudness

KIND = extractor("fma518", "mid30").kind
MN04 = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "weights" / "mn04_as_mAP_432.pt"


def task_for(path: Path, *stored: bytes) -> ReadTask:
    status = os.stat(path)
    return Track(str(path), status.st_size, status.st_mtime_ns), stored


def read(task: ReadTask) -> Track:
    return read_file(task, [KIND])


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    path = tmp_path / "tune.flac"
    encode(path, song(seed=1, seconds=6))
    tagged = FLAC(path)
    tagged["artist"] = "Ida"
    tagged.save()
    return path


def test_a_file_gives_identity_tags_and_vector(tune: Path) -> None:
    reading = read(task_for(tune))
    assert reading.error is None
    assert reading.digest
    assert reading.tags.artist == "Ida"
    assert reading.duration == pytest.approx(6.0)
    assert reading.vector is not None
    assert reading.vector.shape == (518,)


def test_audio_whose_vector_is_stored_is_not_decoded_again(tune: Path) -> None:
    digest = read(task_for(tune)).digest
    assert digest is not None
    again = read(task_for(tune, digest))
    assert (again.digest, again.vector, again.error) == (digest, None, None)


def test_a_broken_tag_fails_the_track(tune: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path) -> TrackTags:
        raise FailTrack("tags", "the tag is broken")

    monkeypatch.setattr("music_reclass.classification.reading.read_tags", unreadable)
    reading = read(task_for(tune))
    assert isinstance(reading.error, FailTrack)
    assert reading.error.reason == "tags"
    assert reading.vector is None


def test_a_file_that_changes_while_it_is_read_fails_this_time(tune: Path) -> None:
    task = task_for(tune)
    os.utime(tune, ns=(1, 1))
    reading = read(task)
    assert reading.error is not None
    assert reading.error.reason == "changed"
    assert reading.vector is None


def test_a_file_that_vanished_is_a_typed_failure(tmp_path: Path) -> None:
    reading = read((Track(str(tmp_path / "gone.mp3"), 1, 1), ()))
    assert reading.error is not None
    assert reading.error.reason == "vanished"


def test_a_short_file_is_skipped_by_a_scan_but_has_a_vector(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    encode(path, song(seed=1, seconds=0.2))
    reading = read(task_for(path))
    assert isinstance(reading.error, SkipTrack)
    assert reading.error.reason == "too_short"
    vector = read_vector(path, "fma518", "mid30")
    assert vector.shape == (518,)
    assert np.isfinite(vector).all()


def test_readers_cross_process_borders() -> None:
    reader = pickle.loads(pickle.dumps(partial(read_file, kinds=(KIND,))))
    assert (reader.func, reader.keywords) == (read_file, {"kinds": (KIND,)})


@pytest.fixture
def loudness(monkeypatch: pytest.MonkeyPatch) -> type[Loudness]:
    """An extractor of two further kinds."""
    monkeypatch.setattr("music_reclass.classification.reading._extractor", extractor)
    monkeypatch.setitem(registry.EXTRACTORS, "loudness", "tests.classification.fakes:Loudness")
    monkeypatch.setattr(Loudness, "passes", [])
    return Loudness


LOUD, PEAK = (FeatureKind(name, "1", 1, "mid30") for name in ("loudness", "peak"))


def test_one_decode_and_one_pass_give_all_kinds(
    tune: Path, loudness: type[Loudness], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, decoded = read(task_for(tune)), []
    monkeypatch.setattr(audio, "_decode", lambda *asked, real=audio._decode: decoded.append(1) or real(*asked))
    seconds: dict[FeatureKind, float] = {}
    reading = read_file(task_for(tune), [KIND, LOUD], seconds)
    assert len(decoded) == len(loudness.passes) == 1
    assert reading.vector is not None
    assert alone.vector is not None
    assert np.array_equal(reading.vector, alone.vector)
    samples = audio.load(tune, "mid30", 16000).samples
    assert reading.more == {LOUD: np.abs(samples).mean(), PEAK: np.abs(samples).max()}
    assert seconds.keys() == {KIND, LOUD}
    assert seconds[KIND] > seconds[LOUD] > 0


@pytest.mark.parametrize(("least", "broken", "kept"), [(2.0, False, set()), (0.0, True, {PEAK})])
def test_a_further_kind_that_cannot_be_had_does_not_cost_the_track(
    tune: Path, loudness: type[Loudness], monkeypatch: pytest.MonkeyPatch, least: float, broken: bool, kept: set[object]
) -> None:
    monkeypatch.setattr(loudness, "least", least)
    monkeypatch.setattr(loudness, "broken", broken)
    reading = read_file(task_for(tune), [KIND, LOUD])
    assert reading.error is None
    assert reading.vector is not None
    assert reading.more.keys() == kept


def test_without_the_first_kind_the_track_has_failed(
    tune: Path, loudness: type[Loudness], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loudness, "least", 2.0)
    reading = read_file(task_for(tune), [LOUD, KIND])
    assert reading.error is not None
    assert (reading.error.detail, reading.vector, reading.more) == ("too quiet", None, {})


def test_a_recording_of_a_low_rate_carries_a_warning_whatever_rate_it_is_stored_at(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    wide = random.uniform(-0.3, 0.3, (44100 * 6, 1)).astype(np.float32)
    low = soxr.resample(wide, 44100, 16000)
    for name, samples, rate in (
        ("wide", wide, 44100),
        ("low", low, 16000),
        ("up", soxr.resample(low, 16000, 44100), 44100),
    ):
        encode(tmp_path / f"{name}.wav", samples, rate)
    found = {name: read(task_for(tmp_path / f"{name}.wav")).warnings for name in ("wide", "low", "up")}
    assert found == {"wide": (), "low": ("band-limited",), "up": ("band-limited",)}


def test_windows_that_are_silent_are_left_out(tmp_path: Path, loudness: type[Loudness]) -> None:
    sound = np.full((16000 * 120, 1), 0.1, np.float32)
    sound[60 * 16000 :] = 0.0
    encode(tmp_path / "half.wav", sound, 16000)
    kinds = [replace(LOUD, excerpt=window) for window in ("start30", "end30")]
    found = read_windows_of(tmp_path / "half.wav", kinds)
    assert found.keys() == {replace(LOUD, excerpt="start30"), replace(PEAK, excerpt="start30")}
    assert len(loudness.passes) == 1
    with pytest.raises(SkipTrack):
        read_windows_of(tmp_path / "half.wav", kinds[1:])


def test_efficientats_kinds_come_with_the_518_features(
    tune: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not MN04.is_file():
        pytest.skip("needs ../shared/data/weights/mn04_as_mAP_432.pt")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("music_reclass.classification.reading._extractor", extractor)
    install.from_disk(catalogue.model("efficientat"), MN04)
    embedding, tags = (extractor(name, "mid30").kind for name in ("efficientat", "efficientat-tags"))
    reading = read_file(task_for(tune), [KIND, embedding, tags])
    assert reading.vector is not None
    assert reading.more.keys() == {embedding, tags}
    for kind in (embedding, tags):
        assert np.array_equal(reading.more[kind], read_vector(tune, kind.name, "mid30"))
