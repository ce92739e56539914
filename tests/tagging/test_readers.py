"""What other programs read out of real files."""

from pathlib import Path

import pytest

from music_reclass.errors import FailTrack
from music_reclass.tagging.readers import blind_spots, ffmpeg_genre, readers
from tests.tagging.samples import SUFFIXES, sample


def tagged(tmp_path: Path, name: str, genres: list[str]) -> Path:
    import mutagen
    import mutagen.id3

    path = tmp_path / f"tune{SUFFIXES[name]}"
    path.write_bytes(sample(name))
    file = mutagen.File(path)
    if name in ("mp3", "wav", "aiff"):
        if file.tags is None:
            file.add_tags()
        file.tags.setall("TCON", [mutagen.id3.TCON(encoding=3, text=genres)])
    elif name in ("aac", "alac"):
        file["\xa9gen"] = genres
    else:
        file["genre"] = genres
    file.save()
    return path


@pytest.mark.parametrize("name", ["mp3", "aiff", "aac"])
def test_ffmpeg_sees_only_the_first_of_several(tmp_path: Path, name: str) -> None:
    path = tagged(tmp_path, name, ["Rock", "Jazz"])
    found = readers(path)
    assert found == {
        "mutagen": ("Rock", "Jazz"), "ffmpeg": ("Rock",), "taglib": ("Rock", "Jazz"), "navidrome": ("Rock", "Jazz"),
    }  # fmt: skip
    assert blind_spots(readers(path)) == ["Plex, Kodi, Jellyfin's probe see only the first of 2 genres."]


def test_ffmpeg_joins_the_comments_of_flac(tmp_path: Path) -> None:
    path = tagged(tmp_path, "flac", ["Rock", "Jazz"])
    assert ffmpeg_genre(path) == "Rock;Jazz"
    assert blind_spots(readers(path)) == []


def test_a_single_value_with_separators_is_split_by_navidrome(tmp_path: Path) -> None:
    path = tagged(tmp_path, "flac", ["R&B; Soul"])
    assert blind_spots(readers(path)) == ["Navidrome (TagLib, then splitting) see something else: R&B | Soul."]


def test_a_wav_hides_its_genre_from_ffmpeg(tmp_path: Path) -> None:
    path = tagged(tmp_path, "wav", ["Rock"])
    found = readers(path)
    assert found["mutagen"] == ("Rock",)
    if found["ffmpeg"] is None:  # FFmpeg 5 and 6 do not look into the chunk; a later release may
        assert "see no genre" in blind_spots(readers(path))[0]


def test_a_file_without_a_genre_has_no_blind_spots(tmp_path: Path) -> None:
    path = tmp_path / "tune.flac"
    path.write_bytes(sample("flac"))
    assert set(readers(path).values()) == {None}
    assert blind_spots(readers(path)) == []


def test_what_is_no_audio_is_a_failure_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "tune.mp3"
    path.write_bytes(b"no audio at all" * 100)
    with pytest.raises(FailTrack):
        readers(path)
