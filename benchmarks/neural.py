"""MERT from files to vectors: batched, short numbers, five-second windows, against the plain loop over files.

    python benchmarks/neural.py [--tracks 6] [--device auto] [--threads 1]

The plain loop is what is commonly written: librosa loads a file, transformers' feature extractor prepares 30 s, the
whole HubertModel runs in float32 at batch 1, and the last layer is averaged. Both sides read the same MP3 files in one
run, in turns, the best of --rounds counts, and both have loaded their networks before the clock starts. The weights
are random, in the exact architecture of MERT-v1-95M: values do not change the work. On a CUDA card the share of the
card's own bfloat16 matrix rate is reported as well. Last comes MusiCNN in NumPy against the same layers in torch.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import itertools
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def clips(folder: Path, count: int) -> list[Path]:
    """MP3 files of 31 s."""
    from music_reclass.extractors.audio.synthesis import encode, song

    paths = [folder / f"{number}.mp3" for number in range(count)]
    for number, path in enumerate(paths):
        encode(path, song(seed=number, seconds=31))
    return paths


def random_mert(folder: Path) -> Any:
    """Install random weights of the published shape as `mert`; returns the plain model with the same weights."""
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    from music_reclass.extractors.mert import CONFIG_95M
    from music_reclass.extractors.weights import catalogue, install
    from music_reclass.extractors.weights.checkpoint import write_safetensors

    torch.manual_seed(0)
    model = transformers.HubertModel(transformers.HubertConfig(**CONFIG_95M)).eval()
    write_safetensors(folder / "model.safetensors", {k: v.numpy() for k, v in model.state_dict().items()})
    install.from_disk(catalogue.model("mert"), folder)
    return model


def plain_loop(model: Any, paths: list[Path], device: str) -> float:
    """Seconds for the loop over files."""
    torch = importlib.import_module("torch")
    librosa = importlib.import_module("librosa")
    prepare = importlib.import_module("transformers").Wav2Vec2FeatureExtractor(sampling_rate=24000, do_normalize=True)
    start = time.perf_counter()
    for path in paths:
        samples, _ = librosa.load(path, sr=24000, mono=True, duration=30)
        batch = prepare(samples, sampling_rate=24000, return_tensors="pt").input_values.to(device)
        with torch.no_grad():
            model(batch).last_hidden_state.mean(dim=1).cpu().numpy()
    return time.perf_counter() - start


def ours(paths: list[Path], device: str, jobs: int) -> tuple[float, str]:
    """Seconds for the pipeline, and how it ran."""
    from music_reclass.extractors import mert, pipeline
    from music_reclass.extractors.device import Placement

    extractor = mert.mert("mid30", Placement(device))
    size = extractor.network.batch_size((mert.WINDOW,))  # loads the network, measures its memory on a card
    reader = functools.partial(pipeline.read_windows, kind="mert", excerpt="mid30")
    start = time.perf_counter()
    answers = list(pipeline.embed(paths, reader, extractor, jobs=jobs, timeout=600))
    seconds = time.perf_counter() - start
    assert len(answers) == len(paths), "every file has an answer"
    assert all(isinstance(vector, np.ndarray) for _, vector in answers), "no file failed"
    return seconds, f"{extractor.network.device.name}, {extractor.network.precision}, batches of {size.now}"


def share_of_peak(model: Any, device: str, windows_per_second: float) -> float:
    """The arithmetic of our windows against the fastest bfloat16 matrix product this card does."""
    torch = importlib.import_module("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from music_reclass.extractors import mert
    from music_reclass.extractors.mert import shorten

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shorten(model, (mert.BASE.layer,))(torch.zeros(1, mert.WINDOW, device=device))
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    best = 0.0
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(10):
            a @ a
        torch.cuda.synchronize()
        best = max(best, 10 * 2 * 8192**3 / (time.perf_counter() - start))
    return counter.get_total_flops() * windows_per_second / best


def in_chunks() -> list[str]:
    """A window of MERT computed at once and in chunks on the processor: seconds, memory, and how alike the rows are."""
    from music_reclass.extractors import mert
    from music_reclass.extractors.audio.synthesis import song
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.network import CHUNKS

    extractor = mert.mert("mid30", Placement("cpu", "", "fp32"))
    window = extractor.windows(song(seed=0, seconds=5, rate=mert.RATE).mean(axis=1))
    whole = np.stack(list(extractor.network.map(window)))
    lines = []
    for chunks in (1, *CHUNKS):
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            row = np.stack(extractor.network._rows(list(window), chunks))
            best = min(best, time.perf_counter() - start)
        peak = most_held(functools.partial(extractor.network._rows, list(window), chunks))
        furthest = float(np.abs(row - whole).max() / np.abs(whole).max())
        lines.append(f"in {chunks:>2} chunks {best:6.2f} s   {peak:4.0f} MB   differs by {furthest:.1e} of the largest")
    return lines


def in_shorter_windows() -> list[str]:
    """How far the mean row of shorter windows of MERT is from the row of the whole one, and other music from it."""
    from music_reclass.extractors import mert
    from music_reclass.extractors.audio.synthesis import song
    from music_reclass.extractors.device import Placement

    extractor = mert.mert("mid30", Placement("cpu", "", "fp32"))
    sounds = [song(seed=seed, seconds=5, rate=mert.RATE).mean(axis=1) for seed in range(4)]
    whole = np.stack([extractor.vector(sound) for sound in sounds])

    def shown(name: str, pairs: list[tuple[Any, Any]]) -> str:
        cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
        return f"{name:<24} cosine {np.mean(cosines):.4f} ({min(cosines):.4f} to {max(cosines):.4f})"

    lines = []
    for count in (2, 4):
        cut = [mert.standardised(sound.reshape(count, -1)) for sound in sounds]
        means = [np.mean(list(extractor.network.map(parts)), axis=0) for parts in cut]
        lines.append(shown(f"{count} shorter windows", list(zip(means, whole, strict=True))))
    return [*lines, shown("other music", list(itertools.combinations(whole, 2)))]


def most_held(work: Callable[[], object]) -> float:
    """The most megabytes of tensors that `work` holds at once, as torch's allocator counts them."""
    profiler = importlib.import_module("torch.profiler")
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    steps = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(steps)) / 1e6


def musicnn(rounds: int) -> tuple[float, float]:
    """Seconds for ten windows of MusiCNN, in NumPy and in torch (the reference of the tests)."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from music_reclass.extractors.musicnn import MusicnnNet
    from tests.extractors.test_musicnn_network import in_torch, random_musicnn

    tensors, torch = random_musicnn(), importlib.import_module("torch")
    windows = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 48000)).astype(np.float32)
    network = MusicnnNet(tensors)
    best = [float("inf"), float("inf")]
    for _ in range(1 + rounds):
        marks = [time.perf_counter()]
        network.embed(windows)
        marks.append(time.perf_counter())
        with torch.inference_mode():
            in_torch(tensors, windows)
        marks.append(time.perf_counter())
        best = [min(best[0], marks[1] - marks[0]), min(best[1], marks[2] - marks[1])]
    return best[0], best[1]


def main() -> None:
    """Run both sides and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network on a processor")
    parser.add_argument("--jobs", type=int, default=0, help="decoding processes (default: 1, with a card 8)")
    arguments = parser.parse_args()
    torch = importlib.import_module("torch")
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECLASS_MODELS"] = str(Path(folder) / "models")
        model = random_mert(Path(folder))
        paths = clips(Path(folder), arguments.tracks)
        on_card = arguments.device != "cpu" and torch.cuda.is_available()
        device = (arguments.device if arguments.device != "auto" else "cuda") if on_card else "cpu"
        jobs = arguments.jobs or (min(8, os.cpu_count() or 1) if on_card else 1)
        model = model.to(device)
        plain_loop(model, paths[:1], device)  # warm
        theirs, seconds, how = float("inf"), float("inf"), ""
        for _ in range(arguments.rounds):
            theirs = min(theirs, plain_loop(model, paths, device))
            latest, how = ours(paths, arguments.device, jobs)
            seconds = min(seconds, latest)
        windows = 6 * len(paths)
        print(f"plain loop   {theirs:7.2f} s   {windows / theirs:8.2f} windows/s   ({device}, float32, batch 1, 30 s)")
        print(f"reclass      {seconds:7.2f} s   {windows / seconds:8.2f} windows/s   ({how}, 5 s windows)")
        print(f"ratio        {theirs / seconds:7.2f}")
        if on_card:
            print(f"share of the card's bfloat16 matrix rate: {share_of_peak(model, device, windows / seconds):.1%}")
        print("\n".join([*in_chunks(), *in_shorter_windows()]))
    numpy_seconds, torch_seconds = musicnn(arguments.rounds)
    print(f"MusiCNN      {numpy_seconds:.3f} s in NumPy, {torch_seconds:.3f} s in torch for ten windows of 3 s")


if __name__ == "__main__":
    main()
