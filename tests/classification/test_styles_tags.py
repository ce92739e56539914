"""Tags come from the vectors that are there, and only where their names are certain."""

import json
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification.styles import tags_in
from music_reclass.cli.main import run
from music_reclass.domain import FeatureKind
from music_reclass.extractors.efficientat import audioset_labels
from music_reclass.extractors.fma518 import Fma518
from music_reclass.extractors.musicnn import TAGS
from music_reclass.extractors.registry import extractor
from tests.extractors import small_models

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
WEIGHTS = SHARED / "weights" / "musicnn_jamendo.pth"
ONES = np.ones(3, np.float32)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not WEIGHTS.is_file():
        pytest.skip("the MusiCNN weights are not beside the checkout (../shared/data/weights)")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    assert run(["models", "install", "musicnn", str(WEIGHTS)]) == 0


def test_measurements_hold_no_tags() -> None:
    assert tags_in({Fma518("mid30").kind: np.zeros(518, np.float32)}) == {}
    assert tags_in({}) == {}


def test_without_the_weights_there_are_no_names() -> None:
    assert tags_in({FeatureKind("musicnn", "1-425c7c95", 200, "mid30"): np.zeros(200, np.float32)}) == {}
    assert tags_in({FeatureKind("musicnn-tags", "1-425c7c95", 50, "mid30"): np.zeros(50, np.float32)}) == {}


def test_tags_are_computed_from_an_embedding(installed: None) -> None:
    golden = np.load(SHARED / "golden" / "musicnn.npz", allow_pickle=False)
    place = list(golden["names"]).index("golden/pistachio_ragtime.flac")
    kind = extractor("musicnn", "mid30").kind
    found = tags_in({kind: golden["embeddings"][place].astype(np.float32)})
    assert set(found) == set(TAGS)
    assert found["instrument---piano"] == pytest.approx(0.72, abs=0.05)
    assert max(found, key=lambda tag: found[tag]) == "instrument---piano"


def test_stored_tags_go_before_computed_ones(installed: None) -> None:
    stored = np.linspace(0, 1, 50, dtype=np.float32)
    vectors = {
        extractor("musicnn", "mid30").kind: np.zeros(200, np.float32),
        extractor("musicnn-tags", "mid30").kind: stored,
    }
    assert list(tags_in(vectors).values()) == pytest.approx(stored.tolist())


def test_vectors_of_other_weights_give_no_tags(installed: None) -> None:
    assert tags_in({FeatureKind("musicnn", "1-00000000", 200, "mid30"): np.zeros(200, np.float32)}) == {}
    assert tags_in({FeatureKind("musicnn-tags", "1-00000000", 50, "mid30"): np.zeros(50, np.float32)}) == {}


def test_audiosets_classes_are_named_whatever_is_installed_and_efficientats_go_before_asts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "empty"))
    kind = FeatureKind("efficientat-tags", "1-00000000", 527, "mid30")
    found = tags_in({kind: np.linspace(0, 1, 527, dtype=np.float32), FeatureKind("ast-tags", "1-0", 3, "mid30"): ONES})
    assert tuple(found) == audioset_labels()
    assert (found["Speech"], found["Field recording"]) == (0.0, 1.0)


def test_efficientats_strength_counts_where_ast_gives_one_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    ast = small_models.small_ast().kind
    kind = FeatureKind("efficientat-tags", "1-00000000", 527, "mid30")
    for vectors in ({kind: np.zeros(527, np.float32), ast: ONES}, {ast: ONES, kind: np.zeros(527, np.float32)}):
        assert tags_in(vectors)["Speech"] == 0.0


def test_explain_shows_audiosets_tags_of_a_file_where_efficientat_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ragtime = SHARED / "golden" / "pistachio_ragtime.flac"
    if not small_models.EFFICIENTAT_WEIGHTS.is_file() or not ragtime.is_file():
        pytest.skip("needs ../shared/data (weights and golden recordings)")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("RECLASS_DB", str(tmp_path / "library.sqlite3"))
    assert run(["explain", str(ragtime), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["heard"] == []
    assert run(["models", "install", "efficientat", str(small_models.EFFICIENTAT_WEIGHTS)]) == 0
    capsys.readouterr()
    for _ in ("a file of its own", "a file of the library"):
        assert run(["explain", str(ragtime), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["heard"][0]["tag"] == "Piano"
        run(["scan", str(ragtime), "-n"])
        capsys.readouterr()
