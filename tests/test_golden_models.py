"""Bundles in the field keep their digests and load; the shipped ones decide as they did; features stay comparable.

`RECLASS_GOLDEN=write pytest tests/test_golden*.py` makes the golden files anew (tests/golden/comparing.py).
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import music_reclass
from music_reclass.classification.voter import Cascade
from music_reclass.cli.main import run
from music_reclass.errors import BundleError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.extractors.fma518 import VERSION as FMA_VERSION
from music_reclass.extractors.jmla import VERSION as JMLA_VERSION
from music_reclass.extractors.mert import BASE, LARGE
from music_reclass.extractors.mert import VERSION as MERT_VERSION
from music_reclass.extractors.musicnn import TAGS as MUSICNN_TAGS
from music_reclass.extractors.musicnn import VERSION as MUSICNN_VERSION
from music_reclass.extractors.registry import EXCERPTS, EXTRACTORS, extractor
from music_reclass.extractors.taggers import AstTagger, GenreHubert
from music_reclass.features.library import augmented_kind
from music_reclass.models.base import MODELS
from music_reclass.models.bundle import columns_digest, embedded, load, save
from music_reclass.taxonomy import load as load_taxonomy
from tests.golden import bundles, stored
from tests.golden.comparing import compare
from tests.golden.files import library, put

DATA = Path(music_reclass.__file__).parent / "data"


def shape(value: Any) -> Any:
    """What a manifest is made of: keys, and for each value its type; of lists only the first item counts."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


def test_the_shipped_data_stay_as_they_are() -> None:
    files = sorted(path for path in DATA.rglob("*") if path.is_file())
    compare("data", {str(path.relative_to(DATA)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files})


def test_the_shipped_bundles_keep_their_digests_and_decisions_made_with_them_their_basis() -> None:
    first, second = embedded(), embedded("musicnn")
    taxonomy = load_taxonomy()
    found = {
        "digests": {bundle.stage: bundle.digest for bundle in (first, second)},
        "columns": columns_digest(),
        "columns_by_hand": hashlib.sha256("\n".join(COLUMNS).encode()).hexdigest(),
        "taxonomy": taxonomy.digest,
        "basis_one_stage": Cascade.from_bundles([first], taxonomy).basis,
        "basis_two_stages": Cascade.from_bundles([first, second], taxonomy).basis,
        "basis_two_genres": Cascade.from_bundles([first], taxonomy, max_genres=2).basis,
        "basis_no_albums": Cascade.from_bundles([first], taxonomy, by_album=False).basis,
        "kinds": {bundle.stage: [kind.key for kind in bundle.kinds] for bundle in (first, second)},
        "thresholds": {bundle.stage: dict(bundle.thresholds) for bundle in (first, second)},
        "labels": list(first.labels),
    }
    compare("bundles", found)


def test_the_manifests_have_the_keys_they_always_had() -> None:
    found = {name: json.loads((DATA / name / "manifest.json").read_text()) for name in ("embedded", "embedded-musicnn")}
    compare("manifests", {name: shape(manifest) for name, manifest in found.items()})


def test_json_of_the_models_keeps_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stages = [one for one in printed if "stage" in one]
    short = [{key: one[key] for key in ("stage", "digest", "name", "version", "kinds", "labels")} for one in stages]
    compare("models", {"keys": [list(one) for one in stages], "stages": short, "others": printed[len(stages) :]})


def test_every_type_of_model_has_a_bundle_here() -> None:
    assert set(MODELS) == set(bundles.TYPES)


def test_the_type_that_was_never_shipped_is_refused_with_the_cure(tmp_path: Path) -> None:
    """The one golden file that went: `model_tags.json`. The type `tags` was removed before any bundle had it."""
    manifest = bundles.write(tmp_path / "model", "linear", columns_digest())
    with np.load(tmp_path / "model" / "arrays.npz") as stored:
        arrays = dict(stored)
    manifest["model"] = {"type": "tags", "runs": [[518, 568]], "model": manifest["model"]}
    manifest["digest"] = bundles.digest(manifest, arrays)
    (tmp_path / "model" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match=r"model type `tags`.*train it again"):
        load(tmp_path / "model")


@pytest.mark.parametrize("kind", list(bundles.TYPES))
def test_a_bundle_written_by_hand_is_loaded_saved_and_predicts_as_before(kind: str, tmp_path: Path) -> None:
    manifest = bundles.write(tmp_path / "model", kind, columns_digest())
    bundle = load(tmp_path / "model")
    save(bundle, tmp_path / "again")
    again = load(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "manifest.json").read_text()) == manifest
    with np.load(tmp_path / "again" / "arrays.npz") as arrays:
        found = {name: [arrays[name].dtype.name, list(arrays[name].shape)] for name in sorted(arrays.files)}
    rows = bundles.table(3, kind)
    shares = bundle.predict_proba(rows)
    np.testing.assert_array_equal(again.predict_proba(rows), shares)
    assert again.digest == bundle.digest == manifest["digest"]
    described = {"digest": bundle.digest, "model": bundle.model.description(), "arrays": found}
    compare(f"model_{kind}", {**described, "probabilities": np.round(shares, 6).tolist()})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The vectors of the stored library, beside made-up ones of MusiCNN, as a table."""
    database = tmp_path / "stored.sqlite3"
    stored.load_dump(database, tmp_path)
    found = stored.rows(database, "SELECT data FROM vector ORDER BY track_id")
    rows = np.stack([np.frombuffer(data, dtype="<f4") for (data,) in found])
    path = tmp_path / "table.npz"
    more = bundles.numbers("musicnn", len(rows), 200)
    np.savez(path, fma518=rows, columns=np.array(COLUMNS), musicnn=more, kinds=np.array(["musicnn/1-425c7c95/mid30"]))
    return path


@pytest.mark.parametrize("stages", [1, 2])
def test_json_of_predictions_stays(
    stages: int, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"fma518": "embedded", "musicnn": "embedded-musicnn"}
    for name, source in names.items():
        shutil.copytree(DATA / source, tmp_path / "stages" / name)
    (tmp_path / "stages" / "ladder.json").write_text(json.dumps({"format": 1, "stages": list(names)}))
    words = ["--bundle", str(tmp_path / "stages")] if stages == 2 else []
    assert run(["predict", "--table", str(table), "--json", *words]) == 0
    compare(f"predict_{stages}", [json.loads(line) for line in capsys.readouterr().out.splitlines()])


def test_kinds_of_features_keep_their_names_and_versions() -> None:
    kind = extractor("fma518", "mid30").kind
    found = {
        "names": list(EXTRACTORS),
        "excerpts": list(EXCERPTS),
        "fma518": [[one.name, one.version, one.dimension, one.excerpt, one.key] for one in map(_fma, EXCERPTS)],
        "degraded": augmented_kind(kind, "lp16").key,
        "versions": {
            "fma518": FMA_VERSION, "musicnn": MUSICNN_VERSION, "mert": MERT_VERSION, "jmla": JMLA_VERSION,
            AstTagger.kind_name: AstTagger.version, GenreHubert.kind_name: GenreHubert.version,
        },
        "layers": {one.model: [one.hidden, one.layer] for one in (BASE, LARGE)},
        "musicnn_tags": list(MUSICNN_TAGS),
        "columns": [COLUMNS[0], COLUMNS[1], COLUMNS[517], len(COLUMNS)],
    }  # fmt: skip
    compare("kinds", found)


def _fma(excerpt: str) -> Any:
    return extractor("fma518", excerpt).kind


def _vectors(names: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[Any]:
    """What `reclass features` prints for files of the small library, the vectors cut to five numbers and their sum."""
    put(folder, {name: library()[name] for name in names})
    assert run(["features", *(str(folder / name) for name in names), "--json", *words]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [{**one, "vector": one["vector"][:5], "sum": math.fsum(one["vector"])} for one in printed]


def test_the_518_numbers_of_a_file_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _vectors(("Hiss.flac", "Floor.aiff", "Mist.wav"), tmp_path, capsys)
    compare("features_fma518", found, tolerance=1e-5, music=tmp_path)


def test_the_200_numbers_of_musicnn_stay(installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _vectors(("Hiss.flac", "Mist.wav"), tmp_path, capsys, "--kind", "musicnn")
    compare("features_musicnn", found, tolerance=1e-4, music=tmp_path)
