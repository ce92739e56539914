"""Files as people have them: every format, wrong names, damage, silence, and what each is answered with."""

from __future__ import annotations

import errno
import io
import os
import struct
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.errors import FailTrack, SkipTrack, TrackError
from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.audio.load import Clip, check_usable, load
from music_reclass.extractors.audio.synthesis import encode, song

SECONDS = 14.0
FORMATS = {
    "song.mp3": None,
    "song.flac": None,
    "song.ogg": None,
    "song.opus": None,
    "song.m4a": None,
    "alac.m4a": "alac",
    "song.wav": None,
    "song.aiff": None,
    "song.wma": None,
    "song.wv": None,
    "song.tta": None,
    "song.mka": None,
    "song.webm": None,
}
BY_SOUNDFILE = {"song.mp3", "song.flac", "song.ogg", "song.wav", "song.aiff"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    tune = song(seed=3, seconds=SECONDS)
    for name, codec in FORMATS.items():
        encode(folder / name, tune, codec=codec)
    return folder


@pytest.fixture(scope="module")
def long_song() -> NDArray[np.float32]:
    return song(seed=4, seconds=40.0)


def reason(path: Path) -> tuple[str, str]:
    """How `path` is answered: ("SkipTrack", "silence") and the like, ("Clip", "") if it can be used."""
    try:
        check_usable(load(path))
    except TrackError as error:
        return type(error).__name__, error.reason
    return "Clip", ""


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_mono_float32_at_the_rate_asked_for(library: Path, name: str) -> None:
    clip = load(library / name)
    assert clip.samples.dtype == np.float32
    assert clip.samples.ndim == 1
    assert clip.rate == 44100
    assert clip.channels == 2
    assert clip.source_rate in (44100, 48000)
    assert len(clip.samples) / clip.rate == pytest.approx(SECONDS, abs=0.1)
    assert clip.duration == pytest.approx(SECONDS, abs=0.1)
    assert clip.decoder == ("soundfile" if name in BY_SOUNDFILE else "pyav")
    assert clip.warnings == ()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_sounds_alike(library: Path, name: str) -> None:
    original, decoded = load(library / "song.wav").samples, load(library / name).samples
    middle = slice(5 * 44100, 5 * 44100 + 65536)
    reference = original[middle] - original[middle].mean()
    spectrum = np.fft.rfft(decoded[middle], 2 * 65536) * np.conj(np.fft.rfft(reference, 2 * 65536))
    best = np.abs(np.fft.irfft(spectrum)).max()  # codecs may delay, and that is all they may do
    power = np.linalg.norm(reference) * np.linalg.norm(decoded[middle])
    assert best / power > 0.95


def test_the_middle_thirty_seconds_are_taken_to_the_sample(tmp_path: Path, long_song: NDArray[np.float32]) -> None:
    for name in ("song.wav", "song.mp3", "song.wv"):
        encode(tmp_path / name, long_song)
        clip, whole = load(tmp_path / name), load(tmp_path / name, "full")
        start = (len(whole.samples) - 30 * 44100) // 2
        np.testing.assert_array_equal(clip.samples, whole.samples[start : start + 30 * 44100])
        assert clip.duration == whole.duration


def test_channels_are_quantised_before_their_mean(tmp_path: Path) -> None:
    stereo = np.zeros((44100, 2), np.float32)
    stereo[:, 0], stereo[:, 1] = 1.4 / 32768, 1.4 / 32768
    stereo[100] = 1.6 / 32768, 0.4 / 32768
    write_wav(tmp_path / "float.wav", stereo, "FLOAT")
    samples = load(tmp_path / "float.wav").samples * 32768
    assert samples[0] == 1.0  # the mean of 1.4 and 1.4, rounded, is 1; unrounded it would be 1.4
    assert samples[100] == 1.0  # the mean of 2 and 0; of 1.6 and 0.4 it would be 1 only after rounding, too


def test_loud_vorbis_is_clipped_and_not_wrapped_around(tmp_path: Path) -> None:
    loud = np.clip(song(seed=3, seconds=6.0) * 1.8, -1.0, 1.0)
    encode(tmp_path / "loud.ogg", loud)
    steps = np.abs(np.diff(load(tmp_path / "loud.ogg").samples))
    assert steps.max() < 1.5


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 48000])
def test_any_rate_can_be_asked_for(library: Path, rate: int) -> None:
    clip = load(library / "song.flac", "full", rate)
    assert len(clip.samples) == pytest.approx(SECONDS * rate, abs=2)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [
        (8000, 1, "PCM_16"),
        (96000, 2, "PCM_24"),
        (44100, 6, "PCM_16"),
        (44100, 2, "FLOAT"),
        (44100, 1, "DOUBLE"),
        (44100, 2, "PCM_U8"),
        (44100, 2, "PCM_32"),
        (44100, 2, "ALAW"),
    ],
)
def test_odd_recordings_are_read(tmp_path: Path, rate: int, channels: int, subtype: str) -> None:
    tune = np.repeat(song(seed=3, seconds=6.0, rate=rate), 3, axis=1)[:, :channels]
    write_wav(tmp_path / "odd.wav", tune, subtype, rate)
    clip = load(tmp_path / "odd.wav")
    assert (clip.source_rate, clip.channels) == (rate, channels)
    assert len(clip.samples) == pytest.approx(6 * 44100, abs=2)
    assert 0.1 < np.abs(clip.samples).max() <= 1.0


def test_numbers_that_are_none_are_silenced(tmp_path: Path) -> None:
    tune = song(seed=3, seconds=6.0)
    tune[100], tune[200], tune[300], tune[400] = np.nan, np.inf, -np.inf, 3e38
    write_wav(tmp_path / "wild.wav", tune, "FLOAT")
    samples = load(tmp_path / "wild.wav").samples
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * share)]


def garbage_inside(content: bytes) -> bytes:
    random = np.random.default_rng(1)
    middle, length = len(content) // 2, len(content) // 20
    return content[:middle] + random.bytes(length) + content[middle + length :]


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"song.m4a", "alac.m4a"}))
def test_half_a_file_gives_the_half_that_is_there(library: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(cut(0.5)((library / name).read_bytes()))
    clip = load(path)
    assert 0.4 * SECONDS < len(clip.samples) / clip.rate < 0.62 * SECONDS
    # Ogg does not say how long it should have been
    assert ("truncated" in clip.warnings) == (name not in {"song.ogg", "song.opus"})


@pytest.mark.parametrize("name", ["song.m4a", "alac.m4a"])
def test_half_a_file_without_its_index_is_a_failure(library: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(cut(0.5)((library / name).read_bytes()))
    assert reason(path) == ("FailTrack", "decode")


@pytest.mark.parametrize("name", FORMATS)
def test_garbage_inside_costs_no_more_than_itself(library: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(garbage_inside((library / name).read_bytes()))
    clip = load(path)
    # Matroska goes on at the next cluster, up to five seconds on; FFmpeg finds WavPack's next block by luck
    least = {"song.mka": 0.6, "song.webm": 0.6, "song.wv": 0.4}.get(name, 0.8)
    assert len(clip.samples) / clip.rate > least * SECONDS
    assert np.isfinite(clip.samples).all()


@pytest.mark.parametrize("name", ["song.flac", "song.mp3", "song.m4a", "song.opus", "song.wv"])
def test_garbage_inside_is_reported(library: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(garbage_inside((library / name).read_bytes()))
    assert load(path).warnings


def test_a_long_damaged_mp3_gives_its_middle_all_the_same(tmp_path: Path, long_song: NDArray[np.float32]) -> None:
    encode(tmp_path / "song.mp3", long_song)
    content = (tmp_path / "song.mp3").read_bytes()
    (tmp_path / "song.mp3").write_bytes(cut(0.8)(content))
    clip = load(tmp_path / "song.mp3")
    assert len(clip.samples) == 30 * 44100
    assert clip.duration == pytest.approx(32.0, abs=0.2)
    assert clip.warnings == ("truncated",)


def write_wav(path: Path, samples: NDArray[np.float32], subtype: str = "PCM_16", rate: int = 44100) -> None:
    import soundfile

    soundfile.write(path, samples, rate, subtype=subtype, format="WAV")


def wav(**fields: int) -> bytes:
    """A fifth of a second of WAV whose header claims something else."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as output:
        output.setnchannels(2)
        output.setsampwidth(2)
        output.setframerate(44100)
        output.writeframes(np.full(8820 * 2, 1000, np.int16).tobytes())
    content = bytearray(buffer.getvalue())
    places = {"channels": (22, "<H"), "rate": (24, "<I"), "data": (40, "<I")}
    for field, value in fields.items():
        offset, form = places[field]
        struct.pack_into(form, content, offset, value)
    return bytes(content)


def rf64(frames: int) -> bytes:
    plain = wav()
    sizes = struct.pack("<IQQQI", 28, 4 * frames, 4 * frames, frames, 0)
    data = bytearray(b"RF64\xff\xff\xff\xffWAVEds64" + sizes + plain[12:])
    data[data.find(b"data") + 4 : data.find(b"data") + 8] = b"\xff\xff\xff\xff"
    return bytes(data)


RANDOM = np.random.default_rng(7).bytes(200_000)


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("empty.mp3", b"", ("SkipTrack", "no_audio")),
        ("text.mp3", b"This is not music.\n" * 2000, ("SkipTrack", "not_audio")),
        ("playlist.mp3", b"#EXTM3U\n#EXTINF:9\nhttp://127.0.0.1:9/a.mp3\n", ("SkipTrack", "not_audio")),
        ("concat.mp3", b"ffconcat version 1.0\nfile /etc/passwd\n", ("SkipTrack", "not_audio")),
        ("random.mp3", RANDOM, ("SkipTrack", "not_audio")),
        ("zeros.flac", bytes(100_000), ("SkipTrack", "not_audio")),
        ("ones.mp3", b"\xff" * 300_000, ("SkipTrack", "not_audio")),
        ("tag-only.mp3", b"ID3\x04\x00\x00\x00\x00\x10\x00" + bytes(2048), ("SkipTrack", "not_audio")),
        ("random.flac", b"fLaC" + RANDOM, ("FailTrack", "decode")),
        ("random.m4a", b"\x00\x00\x00\x20ftypM4A " + RANDOM, ("FailTrack", "decode")),
        ("random.ogg", b"OggS" + RANDOM, ("FailTrack", "decode")),
        ("random.wma", b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel" + RANDOM, ("FailTrack", "decode")),
        ("short.wav", wav(), ("SkipTrack", "too_short")),
        ("long-header.wav", wav(data=0x7FFFFFFF), ("SkipTrack", "too_short")),
        ("tera-frames.wav", rf64(1 << 40), ("SkipTrack", "too_short")),
        ("fast.wav", wav(rate=2**31 - 1), ("FailTrack", "decode")),
        ("no-rate.wav", wav(rate=0), ("FailTrack", "decode")),
        ("many-channels.wav", wav(channels=65535), ("FailTrack", "decode")),
        ("no-samples.wav", wav(data=0)[:44], ("SkipTrack", "no_audio")),
    ],
)
def test_what_is_no_music_has_a_typed_answer(
    tmp_path: Path, name: str, content: bytes, answer: tuple[str, str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert reason(tmp_path / name) == answer


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_bytes_alone_never_pass_for_a_track(library: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes((library / name).read_bytes()[:3000])
    assert reason(tmp_path / name) in {("SkipTrack", "too_short"), ("FailTrack", "decode")}


def test_a_film_without_sound_is_skipped(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "film.mp4"), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for shade in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((96, 64), shade, np.uint8), format="yuv420p")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    assert reason(tmp_path / "film.mp4") == ("SkipTrack", "no_audio")


@pytest.mark.parametrize(("real", "false"), [("song.flac", "a.mp3"), ("song.m4a", "a.mp3"), ("song.mp3", "a.flac")])
def test_the_content_counts_and_not_the_suffix(library: Path, tmp_path: Path, real: str, false: str) -> None:
    (tmp_path / false).write_bytes((library / real).read_bytes())
    np.testing.assert_array_equal(load(tmp_path / false).samples, load(library / real).samples)


def test_digital_silence_is_skipped_and_a_whisper_is_not(tmp_path: Path) -> None:
    for name, level in (("silence", 0), ("dither", 1), ("whisper", 3)):
        steps = np.random.default_rng(1).integers(-level, level + 1, (6 * 44100, 2)).astype(np.float32)
        write_wav(tmp_path / f"{name}.wav", steps / 32768)
    assert reason(tmp_path / "silence.wav") == ("SkipTrack", "silence")
    assert reason(tmp_path / "dither.wav") == ("SkipTrack", "silence")
    assert reason(tmp_path / "whisper.wav") == ("Clip", "")


def test_a_cover_of_five_megabytes_is_no_obstacle(library: Path, tmp_path: Path) -> None:
    def size(n: int) -> bytes:
        return bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127])

    picture = b"\x00image/jpeg\x00\x03\x00" + b"\xff\xfb\x90\x00" * 1_250_000
    frame = b"APIC" + size(len(picture)) + b"\x00\x00" + picture
    content = b"ID3\x04\x00\x00" + size(len(frame)) + frame + (library / "song.mp3").read_bytes()
    (tmp_path / "cover.mp3").write_bytes(content)
    np.testing.assert_array_equal(load(tmp_path / "cover.mp3").samples, load(library / "song.mp3").samples)


def test_junk_before_the_first_frame_is_passed_over(library: Path, tmp_path: Path) -> None:
    (tmp_path / "junk.mp3").write_bytes(bytes(70_000) + (library / "song.mp3").read_bytes())
    assert load(tmp_path / "junk.mp3").duration == pytest.approx(SECONDS, abs=0.2)


@pytest.mark.parametrize("name", ["song.mp3", "song.m4a"])
def test_names_may_hold_newlines_and_bytes_that_are_no_text(library: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / os.fsdecode(b"new\nline \xff\xfe" + name[-4:].encode())
    try:
        path.write_bytes((library / name).read_bytes())
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    assert len(load(path).samples) == len(load(library / name).samples)


def test_a_file_that_is_gone_has_vanished(tmp_path: Path) -> None:
    assert reason(tmp_path / "gone.mp3") == ("FailTrack", "vanished")


def test_a_folder_and_a_pipe_are_no_audio(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    assert reason(tmp_path / "pipe.mp3") == ("SkipTrack", "not_audio")
    assert reason(tmp_path) == ("SkipTrack", "not_audio")


def test_a_file_that_may_not_be_read_says_so(library: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.mp3"
    path.write_bytes((library / "song.mp3").read_bytes())
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # permission bits do not bind root
    try:
        assert reason(path) == ("FailTrack", "permission")
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["song.m4a", "song.wma", "song.webm"])
def test_a_disk_that_fails_half_way_is_not_called_a_damaged_file(
    library: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingDisk(io.FileIO):
        def read(self, size: int = -1) -> bytes:
            if self.tell() > 100_000:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size) or b""

    monkeypatch.setattr(audio, "_opened", lambda path: FailingDisk(path, "rb"))
    with pytest.raises(FailTrack) as caught:
        load(library / name, "full")
    assert caught.value.reason == "io"


def test_a_container_that_points_outside_the_file_is_damaged(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Astray(io.FileIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return super().seek(offset if whence != io.SEEK_SET or offset < 5000 else -1, whence)

    monkeypatch.setattr(audio, "_opened", lambda path: Astray(path, "rb"))
    assert reason(library / "song.m4a") == ("FailTrack", "decode")


def test_the_longest_recordings_are_represented_by_their_middle(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(library / "song.flac", "full")
    monkeypatch.setitem(audio.EXCERPTS, "full", 8.0)
    clip = load(library / "song.flac", "full")
    np.testing.assert_array_equal(clip.samples, whole.samples[3 * 44100 : 11 * 44100])
    assert clip.warnings == ("capped",)
    assert clip.duration == SECONDS


@pytest.mark.parametrize("name", ["song.mp3", "song.flac", "song.opus"])
def test_decoders_say_nothing_on_the_terminal(library: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(garbage_inside((library / name).read_bytes()))
    code = "import sys; from pathlib import Path; from music_reclass.extractors.audio.load import load"
    code += "; load(Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_usable_is_judged_by_what_could_be_read() -> None:
    sound = np.full(4 * 44100, 0.5, np.float32)
    with pytest.raises(SkipTrack) as caught:
        check_usable(Clip(sound, 44100, 300.0, 44100, 2, "pyav", ("truncated",)))
    assert caught.value.reason == "too_short"


def test_one_decode_gives_the_excerpt_at_several_rates(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = (44100, 32000, 16000)
    alone = [load(library / "song.mp3", "mid30", rate) for rate in rates]
    decoded = []
    monkeypatch.setattr(audio, "_decode", lambda *asked, real=audio._decode: decoded.append(1) or real(*asked))
    together = list(audio.load_at(library / "song.mp3", "mid30", rates))
    assert len(decoded) == 1
    for one, other in zip(alone, together, strict=True):
        assert (one.rate, one.duration, one.warnings) == (other.rate, other.duration, other.warnings)
        assert np.array_equal(one.samples, other.samples)


@pytest.mark.parametrize("name", ["ticks.wav", "ticks.m4a", "ticks.mp3", "ticks.opus"])
def test_the_windows_of_a_long_file_lie_apart_and_in_order(tmp_path: Path, name: str) -> None:
    seconds = 190
    loudness = np.repeat(np.linspace(0.01, 0.5, seconds), 8000)  # the second by its loudness
    tone = loudness * np.sin(np.arange(seconds * 8000) * 2 * np.pi * 440 / 8000)
    encode(tmp_path / name, tone.astype(np.float32)[:, None], 8000)
    found = {}
    for excerpt in ("start30", "early30", "mid30", "late30", "end30"):
        samples = load(tmp_path / name, excerpt, 8000).samples
        assert len(samples) == pytest.approx(30 * 8000, abs=2)
        level = np.sqrt(2 * np.mean(samples[:8000] ** 2)), np.sqrt(2 * np.mean(samples[-8000:] ** 2))
        found[excerpt] = [float(one - 0.01) / 0.49 * (seconds - 1) for one in level]
    for (first, last), place in zip(found.values(), (0.1, 0.3, 0.5, 0.7, 0.9), strict=True):
        assert (first, last) == pytest.approx(
            (160 * place, 160 * place + 29), abs=10
        )  # the encoder of MP3 scales by 0.95


def test_a_window_that_would_overlap_with_the_middle_is_refused(tmp_path: Path) -> None:
    encode(tmp_path / "short.wav", np.full((8000 * 104, 1), 0.1, np.float32), 8000)
    assert len(load(tmp_path / "short.wav", "mid30", 8000).samples) == 30 * 8000
    with pytest.raises(SkipTrack, match="the middle alone") as refusal:
        load(tmp_path / "short.wav", "start30", 8000)
    assert refusal.value.reason == "too_short"
