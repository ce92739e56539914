"""Features on demand: stored vectors first, extraction only where allowed, and what that took."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification.extract import OnDemandFeatures
from music_reclass.domain import FeatureKind
from music_reclass.extractors.device import Placement
from music_reclass.extractors.fma518 import Fma518
from music_reclass.extractors.registry import EXTRACTORS
from music_reclass.features.library import Library
from tests.classification.fakes import CHEAP, Loudness, Vectors

KIND = Fma518("mid30").kind
WHOLE = Fma518("full").kind


def stored(vectors: dict[FeatureKind, dict[int, list[float]]]) -> Library:
    return Vectors(vectors)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def tune(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import soundfile

    path = tmp_path_factory.mktemp("music") / "tune.wav"
    sound = 0.2 * np.sin(np.arange(22050 * 8) * 2 * np.pi * 440 / 22050)
    soundfile.write(path, sound, 22050, subtype="PCM_16")
    return path


def test_what_is_stored_is_not_extracted_again(tune: Path) -> None:
    library = stored({KIND: {7: [1.0] * 518, 8: [2.0] * 518}})
    source = OnDemandFeatures(7, tune, Placement(), library)
    found = source.vectors([7, 8], KIND)
    assert found[7][0] == 1.0
    assert found[8][0] == 2.0
    assert not source.seconds
    assert source.known[KIND][0] == 1.0


def test_what_is_missing_is_extracted_once_and_timed(tune: Path) -> None:
    source = OnDemandFeatures(7, tune, Placement(), stored({}))
    first = source.vectors([7, 8], WHOLE)
    assert set(first) == {7}
    assert first[7].shape == (518,)
    took = source.seconds[WHOLE]
    assert took > 0
    assert source.vectors([7], WHOLE)[7] is first[7]
    assert source.seconds == {WHOLE: took}


def test_without_leave_to_extract_nothing_is_extracted(tune: Path) -> None:
    assert OnDemandFeatures(7, tune, Placement(), stored({}), may_extract=False).vectors([7], KIND) == {}


def test_other_tracks_are_never_extracted(tune: Path) -> None:
    assert OnDemandFeatures(7, tune, Placement()).vectors([8, 9], KIND) == {}


def test_a_file_that_fails_is_tried_once_and_remembered(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp3"
    path.write_bytes(b"no music at all")
    source = OnDemandFeatures(7, path, Placement())
    assert source.vectors([7], KIND) == {}
    assert source.vectors([7], KIND) == {}
    assert source.failed[KIND].reason == "not_audio"


def test_vectors_of_another_version_are_not_made_up(tune: Path) -> None:
    other = FeatureKind("fma518", "0", 518, "mid30")
    assert OnDemandFeatures(7, tune, Placement()).vectors([7], other) == {}


def test_vectors_known_before_are_used(tune: Path) -> None:
    row = np.zeros(3, dtype=np.float32)
    assert OnDemandFeatures(7, tune, Placement(), known={CHEAP: row}).vectors([7], CHEAP)[7] is row


def test_kinds_of_one_pass_are_extracted_together(tune: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRACTORS, "loudness", "tests.classification.fakes:Loudness")
    monkeypatch.setattr(Loudness, "passes", [])
    source = OnDemandFeatures(7, tune, Placement())
    loud, peak = (FeatureKind(name, "1", 1, "mid30") for name in ("loudness", "peak"))
    assert source.vectors([7], loud).keys() == source.vectors([7], peak).keys() == {7}
    assert len(Loudness.passes) == 1
