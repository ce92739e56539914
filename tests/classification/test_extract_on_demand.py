"""The ear takes what is stored, listens only where it may, and knows what that took."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification.extract import OnDemandFeatures
from music_reclass.domain import FeatureKind
from music_reclass.extractors.device import Placement
from music_reclass.extractors.fma518 import fma518
from tests.classification.fakes import CHEAP, Vectors

KIND = fma518("mid30").kind
WHOLE = fma518("full").kind


@pytest.fixture(scope="module")
def tune(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import soundfile

    path = tmp_path_factory.mktemp("ear") / "tune.wav"
    sound = 0.2 * np.sin(np.arange(22050 * 8) * 2 * np.pi * 440 / 22050)
    soundfile.write(path, sound, 22050, subtype="PCM_16")
    return path


def test_what_is_stored_is_not_listened_to_again(tune: Path) -> None:
    stored = Vectors({KIND: {7: [1.0] * 518, 8: [2.0] * 518}})
    ear = OnDemandFeatures(7, tune, Placement(), stored)
    found = ear.vectors([7, 8], KIND)
    assert found[7][0] == 1.0
    assert found[8][0] == 2.0
    assert not ear.seconds
    assert ear.known[KIND][0] == 1.0


def test_what_is_missing_is_heard_once_and_timed(tune: Path) -> None:
    ear = OnDemandFeatures(7, tune, Placement(), Vectors({}))
    first = ear.vectors([7, 8], WHOLE)
    assert set(first) == {7}
    assert first[7].shape == (518,)
    took = ear.seconds[WHOLE]
    assert took > 0
    assert ear.vectors([7], WHOLE)[7] is first[7]
    assert ear.seconds == {WHOLE: took}


def test_an_ear_that_may_not_listen_stays_silent(tune: Path) -> None:
    assert OnDemandFeatures(7, tune, Placement(), Vectors({}), listens=False).vectors([7], KIND) == {}


def test_other_tracks_are_never_listened_to(tune: Path) -> None:
    assert OnDemandFeatures(7, tune, Placement()).vectors([8, 9], KIND) == {}


def test_a_file_that_cannot_be_heard_is_tried_once_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp3"
    path.write_bytes(b"no music at all")
    ear = OnDemandFeatures(7, path, Placement())
    assert ear.vectors([7], KIND) == {}
    assert ear.vectors([7], KIND) == {}
    assert ear.missed[KIND].reason == "not_audio"


def test_vectors_of_another_version_are_not_made_up(tune: Path) -> None:
    other = FeatureKind("fma518", "0", 518, "mid30")
    assert OnDemandFeatures(7, tune, Placement()).vectors([7], other) == {}


def test_what_was_heard_before_counts(tune: Path) -> None:
    row = np.zeros(3, dtype=np.float32)
    assert OnDemandFeatures(7, tune, Placement(), known={CHEAP: row}).vectors([7], CHEAP)[7] is row
