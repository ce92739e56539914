"""The synthesiser writes files that decoders accept."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.extractors.audio.synthesis import BY_SUFFIX, encode, song


@pytest.mark.parametrize("suffix", sorted(BY_SUFFIX))
def test_every_suffix_gives_a_file_of_the_right_length(tmp_path: Path, suffix: str) -> None:
    import av

    path = tmp_path / f"tune{suffix}"
    encode(path, song(seed=3, seconds=2))
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        seconds = sum(frame.samples for frame in container.decode(stream)) / stream.rate
    assert seconds == pytest.approx(2.0, abs=0.06)


def test_alac_is_chosen_by_name(tmp_path: Path) -> None:
    import av

    encode(tmp_path / "tune.m4a", song(seed=3, seconds=1), codec="alac")
    with av.open(str(tmp_path / "tune.m4a")) as container:
        assert container.streams.audio[0].codec_context.name == "alac"


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp3", "b.mp3"):
        encode(tmp_path / name, song(seed=5, seconds=1))
    assert (tmp_path / "a.mp3").read_bytes() == (tmp_path / "b.mp3").read_bytes()


def test_songs_differ_by_seed_and_stay_within_full_scale() -> None:
    first, second = song(seed=1, seconds=1), song(seed=2, seconds=1)
    assert first.shape == (44100, 2)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1.0
    assert not np.allclose(first, second)


def test_an_unknown_suffix_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot encode tune\.xyz"):
        encode(tmp_path / "tune.xyz", song(seed=1, seconds=0.1))


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".opus", ".m4a", ".wav", ".aiff", ".wma", ".wv"])
def test_metadata_stands_in_the_file(tmp_path: Path, suffix: str) -> None:
    import av

    path = tmp_path / f"tune{suffix}"
    encode(path, song(seed=3, seconds=1), metadata={"artist": "Ida", "genre": "Jazz"})
    with av.open(str(path)) as container:
        found = {**container.metadata, **container.streams.audio[0].metadata}
    values = {name.lower(): value for name, value in found.items()}
    assert (values["artist"], values["genre"]) == ("Ida", "Jazz")
