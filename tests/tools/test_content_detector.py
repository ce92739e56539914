"""Sounds are synthesised and told from music; the figures are of makers that a detector did not know."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.bundle import CONTENT_FOLDERS, load
from tests.training.synthetic import arrays, views_of, written
from tools import content_audio, content_detector


def tables(folder: Path) -> list[str]:
    """Music and sounds that can be told apart, as the flags of the tool."""
    music = arrays(60)
    tags = np.random.default_rng(0).uniform(0, 0.04, (120, 527)).astype(np.float32)
    tags[:60, 137], tags[60:, 0] = 0.9, 0.8
    music["efficientat_tags"] = tags[:60]
    views = {**views_of(music), "efficientat_tags": tags[:60, None].repeat(2, axis=1)}
    sounds = {
        "label": np.array(["speech"] * 40 + ["noise"] * 20),
        "source": np.array([f"maker {n // 10}" for n in range(60)]),
        "fma518": np.random.default_rng(1).normal(40, 3, (60, len(COLUMNS))).astype(np.float32),
        "efficientat_tags": tags[60:],
    }
    flags = {"--table": music, "--views": views, "--sounds": sounds}
    return [word for flag, made in flags.items() for word in (flag, str(written(folder, f"{flag[2:]}.npz", made)))]


def test_sounds_of_unknown_makers_are_refused_and_music_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    assert content_detector.main(["evaluate", *tables(tmp_path), "--stage", "content-tags"]) == 0
    lines = capsys.readouterr().out
    assert "| speech | 40 | 4 | 100.0% |" in lines
    assert "| all | 60 | 0.00% | 0.00% |" in lines
    assert "| degraded: quiet | 60 | 0.00% | 0.00% |" in lines
    assert "by maker: none" in lines


def test_the_bundles_load_and_know_sounds_from_music(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    flags = tables(tmp_path)
    assert content_detector.main(["train", *flags, "--out", str(tmp_path)]) == 0
    for stage, folder in CONTENT_FOLDERS.items():
        bundle = load(tmp_path / folder)
        assert (bundle.stage, bundle.labels) == (stage, content_detector.LABELS)
        array = content_detector.KINDS[stage].replace("-", "_")
        for flag, is_music in (("--table", True), ("--sounds", False)):
            with np.load(flags[flags.index(flag) + 1]) as stored:
                shares = bundle.predict_proba(stored[array])
            assert ((shares[:, 0] > 0.5) == is_music).all()


def test_vectors_are_extracted_with_label_and_maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_detector, "KINDS", {"content": "fma518"})
    import soundfile

    path = tmp_path / "corpus" / "tone" / "sine" / "0001.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, 0.5 * np.sin(np.arange(6 * 44100) / 20), 44100)
    assert content_detector.main(["vectors", str(tmp_path / "corpus"), "--out", str(tmp_path / "x.npz")]) == 0
    with np.load(tmp_path / "x.npz") as made:
        assert (made["label"].tolist(), made["source"].tolist(), made["fma518"].shape) == (["tone"], ["sine"], (1, 518))


@pytest.mark.parametrize("sounds", [made for made, _ in content_audio.SYNTHESISED])
def test_synthesised_sounds_are_finite_and_the_same_each_time(sounds: object) -> None:
    first, again = (list(sounds(np.random.default_rng(0), 66150)) for _ in range(2))  # type: ignore[operator]
    for (label, source, wave), (_, _, other) in zip(first, again, strict=True):
        assert label in content_detector.LABELS
        assert len(wave) == 66150, source
        assert np.isfinite(wave).all()
        assert np.abs(wave).max() > 0
        np.testing.assert_array_equal(wave, other)
        assert np.abs(content_audio.degraded(np.random.default_rng(1), wave)).max() < 1.0


def test_recordings_become_clips_without_descriptions_of_animals(tmp_path: Path) -> None:
    import soundfile

    folder = tmp_path / "usr" / "share" / "sounds"
    folder.mkdir(parents=True)
    for name in ("cow.wav", "cow_desc_fr.wav"):
        soundfile.write(folder / name, np.full(8000, 0.5), 8000)
    entry = content_audio.Recordings("animal", "cows", "a-package", "sounds/*.wav", "GPL-2", 2)
    clips = list(content_audio.recorded(entry, tmp_path, np.random.default_rng(0)))
    assert len(clips) == 2
    assert all(12 * 44100 <= len(clip) <= 30 * 44100 for clip in clips)
    assert not content_audio._wanted(folder / "cow_desc_fr.wav", entry)
