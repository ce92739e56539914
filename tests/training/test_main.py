"""`python -m music_reclass.training` from its words to its exit code."""

from pathlib import Path

import pytest

from music_reclass.training import bundles, fma_mlp
from music_reclass.training.__main__ import main
from tests.training.synthetic import SMALL, arrays, views_of, written


def test_training_writes_a_bundle_that_loads_and_prints_the_honest_figure_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = fma_mlp.train
    monkeypatch.setattr(fma_mlp, "train", lambda *words: small(*words, plan=SMALL))
    content = arrays(60)
    table, views = written(tmp_path, "t.npz", content), written(tmp_path, "v.npz", views_of(content))
    out = tmp_path / "model"
    assert main(["fma-mlp", "--table", str(table), "--views", str(views), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("new artists")
    assert bundles.load(out).digest in printed


def test_what_the_user_can_mend_is_one_sentence_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--table", str(tmp_path / "absent.npz")]) == 3
    assert "There is no file" in capsys.readouterr().err
    content = arrays(6)
    bare = written(tmp_path, "b.npz", {key: content[key] for key in ("fma518", "columns")})
    assert main(["fma-mlp", "--table", str(bare), "--out", str(tmp_path / "o")]) == 2
    assert "no labels" in capsys.readouterr().err
