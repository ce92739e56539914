"""MERT from files to vectors against two plain loops over files; what loading takes; how exact short formats are.

    python benchmarks/neural.py [--tracks 6] [--device auto] [--threads 1]
    python benchmarks/neural.py --loading
    python benchmarks/neural.py --oracle

The first plain loop is what is commonly written: librosa loads a file, transformers' feature extractor prepares 30 s,
the whole HubertModel runs in float32 at batch 1, and the last layer is averaged. The second knows the tricks: bfloat16
weights, windows of 5 s, and no layer behind the seventh, which it averages as reclass does. All read the same MP3
files in one run, in turns, the best of --rounds counts, and have loaded their networks before the clock starts. Time
is CPU seconds of all threads and child processes, on a CUDA card wall seconds. The weights are random, in the exact
architecture: values do not change the work. On a card the share of its own bfloat16 matrix rate is reported as well.
Last comes MusiCNN in NumPy against the same layers in torch.

--loading gives the most memory that a process takes beyond what it had, while it loads each network of full size:
as transformers' class with a state dict, and as reclass does it in each format (Linux only). --oracle compares the
rows of each network of full size, in each format, with transformers' own class in float32, for music that is loud,
quiet, or beside zero.
"""

from __future__ import annotations

import argparse
import copy
import functools
import gc
import importlib
import itertools
import multiprocessing
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


NAMES = ("mert", "mert-330m", "jmla", "ast")
FORMATS = ("fp32", "bf16", "fp16")
KINDS = {"ast": "ast-tags"}  # the feature kind of a model, where its name is another


def random_model(name: str) -> Any:
    """A model of the published shape with random weights: transformers' class, of JMLA our own."""
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    from music_reclass.extractors import jmla, mert, taggers

    torch.manual_seed(0)
    if name == "jmla":
        model = jmla.transformer()
        torch.nn.init.normal_(model.pos_embed, std=0.02)
    elif name == "ast":
        config = transformers.ASTConfig(**taggers.AST_PUBLISHED, num_labels=527)
        model = transformers.ASTForAudioClassification(config)
    else:
        model = transformers.HubertModel(
            transformers.HubertConfig(**(mert.CONFIG_95M if name == "mert" else mert.CONFIG_330M))
        )
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.ndim == 1:  # norms and biases begin at one and zero, where a mistake would not show
                tensor.add_(0.05 * torch.randn_like(tensor))
    return model.eval()


def install_random(folder: Path, name: str) -> Any:
    """Install random weights of the published shape; returns the plain model with the same weights."""
    from music_reclass.extractors.weights import catalogue, install
    from music_reclass.extractors.weights.checkpoint import write_safetensors

    model = random_model(name)
    (folder / name).mkdir()
    tensors = {key: value.numpy() for key, value in model.state_dict().items()}
    write_safetensors(folder / name / "model.safetensors", tensors)
    install.from_disk(catalogue.model(name), folder / name, trust=True)
    return model


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds, of child processes too, and wall seconds."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - cpu, time.perf_counter() - wall


def plain_loop(model: Any, paths: list[Path], device: str) -> None:
    """What is commonly written."""
    torch = importlib.import_module("torch")
    librosa = importlib.import_module("librosa")
    prepare = importlib.import_module("transformers").Wav2Vec2FeatureExtractor(sampling_rate=24000, do_normalize=True)
    for path in paths:
        samples, _ = librosa.load(path, sr=24000, mono=True, duration=30)
        batch = prepare(samples, sampling_rate=24000, return_tensors="pt").input_values.to(device)
        with torch.no_grad():
            model(batch).last_hidden_state.mean(dim=1).cpu().numpy()


def shortened(model: Any, device: str) -> Any:
    """A copy of transformers' model in bfloat16 that ends at the layer that is read."""
    torch = importlib.import_module("torch")
    from music_reclass.extractors.mert import BASE

    short = copy.deepcopy(model)
    short.encoder.layers = short.encoder.layers[: BASE.layer]
    return short.to(device, torch.bfloat16)


def frugal_loop(model: Any, paths: list[Path], device: str) -> None:
    """The loop of one who knows the tricks; `model` comes from `shortened`."""
    torch = importlib.import_module("torch")
    librosa = importlib.import_module("librosa")
    prepare = importlib.import_module("transformers").Wav2Vec2FeatureExtractor(sampling_rate=24000, do_normalize=True)
    for path in paths:
        samples, _ = librosa.load(path, sr=24000, mono=True, duration=30)
        windows = list(samples[: 30 * 24000].reshape(6, -1))
        batch = prepare(windows, sampling_rate=24000, return_tensors="pt").input_values
        with torch.inference_mode():
            states = [model(two.to(device, torch.bfloat16)).last_hidden_state for two in batch.split(2)]
            torch.cat(states).float().mean(dim=(0, 1)).cpu().numpy()


def ours(extractor: Any, paths: list[Path], jobs: int) -> None:
    """The pipeline."""
    from music_reclass.extractors import pipeline

    reader = functools.partial(pipeline.read_windows, kind="mert", excerpt="mid30")
    answers = list(pipeline.embed(paths, reader, extractor, jobs=jobs, timeout=600))
    assert len(answers) == len(paths), "every file has an answer"
    assert all(isinstance(vector, np.ndarray) for _, vector in answers), "no file failed"


def loading_peak(folder: Path, name: str, way: str) -> tuple[float, float]:
    """Megabytes that loading takes at most, and that stay, in this process; `way` is plain or a number format."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    os.environ["RECLASS_MODELS"] = str(folder / "models")
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.pipeline import network_extractor
    from music_reclass.extractors.weights.checkpoint import read_safetensors

    torch.zeros(3).bfloat16()
    if way == "plain":
        transformers = importlib.import_module("transformers")
        assert transformers.HubertModel
        assert transformers.ASTForAudioClassification

        def load() -> Any:
            model = random_model(name)
            tensors = read_safetensors(folder / name / "model.safetensors")
            model.load_state_dict({key: torch.tensor(tensor) for key, tensor in tensors.items()})
            return model
    else:
        extractor = network_extractor(KINDS.get(name, name), "mid30", Placement("cpu", "", way))

        def load() -> Any:
            return extractor.network._blueprint.build(way)

    gc.collect()
    base = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    kept = load()
    gc.collect()
    assert kept is not None
    return _status("VmHWM") - base, _status("VmRSS") - base


def _status(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024 / 1e6


def loading(folder: Path) -> None:
    """Print the memory of loading each network in each way, each in a process of its own."""
    processes = multiprocessing.get_context("spawn")
    for name in NAMES:
        install_random(folder, name)
        shown = []
        for way in ("plain", "fp32", "bf16", "fp16"):
            with processes.Pool(1) as pool:
                most, stays = pool.apply(loading_peak, (folder, name, way))
            shown.append(f"{way} +{most:.0f} MB (+{stays:.0f})")
        print(f"{name:<10} at most (and after)  " + "   ".join(shown), flush=True)


SOUNDS = {"as it is": (1.0, 0.0), "beside zero": (1.0, 0.5), "loud": (4.0, 0.0), "quiet": (1e-3, 0.0)}


def reference_rows(model: Any, name: str, windows: np.ndarray) -> np.ndarray:
    """The rows of windows by transformers' own class in float32."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    from music_reclass.extractors import mert

    batch = torch.from_numpy(windows)
    with torch.inference_mode():
        if name == "ast":
            return model(batch).logits.sigmoid().numpy()
        if name == "jmla":
            from tests.extractors.test_jmla_vit import vit_state

            vit = transformers.ViTModel(
                transformers.ViTConfig(image_size=(80, 2992), layer_norm_eps=1e-6), add_pooling_layer=False
            ).eval()
            new = any(key.startswith("layers.") for key in vit.state_dict())
            vit.load_state_dict(vit_state({key: value.numpy() for key, value in model.state_dict().items()}, 12, new))
            return vit(batch.unsqueeze(1).expand(-1, 3, -1, -1)).last_hidden_state[:, 1:].mean(dim=1).numpy()
        layer = (mert.BASE if name == "mert" else mert.LARGE).layer
        return model(batch, output_hidden_states=True).hidden_states[layer].mean(dim=1).numpy()


def oracle(folder: Path) -> None:
    """Print one less the cosine to transformers' rows in float32, of each network in each format, the worst sound's."""
    from music_reclass.extractors.audio.synthesis import song
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.pipeline import network_extractor

    for name in NAMES:
        model = install_random(folder, name)
        networks = {p: network_extractor(KINDS.get(name, name), "mid30", Placement("cpu", "", p)) for p in FORMATS}
        cut = {}
        for sound, (loudness, offset) in SOUNDS.items():
            extractor = networks["fp32"]
            seconds = 5 if name.startswith("mert") else 30 if name == "jmla" else 10
            samples = song(seed=0, seconds=seconds, rate=extractor.rate).mean(axis=1)
            cut[sound] = extractor.windows((loudness * samples + offset).astype(np.float32))
        wanted = {sound: reference_rows(model, name, windows) for sound, windows in cut.items()}
        del model
        for precision, extractor in networks.items():
            gaps = {}
            for sound, windows in cut.items():
                rows = np.stack(list(extractor.network.map(windows)))
                gaps[sound] = max(distance(one, other) for one, other in zip(rows, wanted[sound], strict=True))
            shown = ", ".join(f"{sound} {gap:.1e}" for sound, gap in gaps.items())
            print(f"{name:<10} {precision}   {shown}", flush=True)
            extractor.network.release()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """One less the cosine of two rows."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    return float(1 - one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def share_of_peak(model: Any, device: str, windows_per_second: float) -> float:
    """The arithmetic of our windows against the fastest bfloat16 matrix product this card does."""
    torch = importlib.import_module("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from music_reclass.extractors import mert

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        shortened(model, device)(torch.zeros(1, mert.WINDOW, device=device, dtype=torch.bfloat16))
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
            start = time.process_time()
            row = np.stack(extractor.network._rows(list(window), chunks))
            best = min(best, time.process_time() - start)
        peak = most_held(functools.partial(extractor.network._rows, list(window), chunks))
        furthest = float(np.abs(row - whole).max() / np.abs(whole).max())
        lines.append(
            f"in {4 * chunks:>2} chunks {best:6.2f} CPU s   {peak:4.0f} MB   differs by {furthest:.1e} of the largest"
        )
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
    """CPU seconds for ten windows of MusiCNN, in NumPy and in torch (the reference of the tests)."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from music_reclass.extractors.musicnn import MusicnnNet
    from tests.extractors.test_musicnn_network import in_torch, random_musicnn

    tensors, torch = random_musicnn(), importlib.import_module("torch")
    windows = np.random.default_rng(0).uniform(-0.5, 0.5, (10, 48000)).astype(np.float32)
    network = MusicnnNet(tensors)
    best = [float("inf"), float("inf")]
    for _ in range(1 + rounds):
        marks = [time.process_time()]
        network.embed(windows)
        marks.append(time.process_time())
        with torch.inference_mode():
            in_torch(tensors, windows)
        marks.append(time.process_time())
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
    parser.add_argument("--loading", action="store_true", help="the memory of loading instead")
    parser.add_argument("--oracle", action="store_true", help="the exactness of short formats instead")
    arguments = parser.parse_args()
    torch = importlib.import_module("torch")
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # the network's threads are otherwise the machine's cores
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECLASS_MODELS"] = str(Path(folder) / "models")
        if arguments.loading or arguments.oracle:
            (loading if arguments.loading else oracle)(Path(folder))
            return
        compare(Path(folder), arguments)
    numpy_seconds, torch_seconds = musicnn(arguments.rounds)
    print(f"MusiCNN      {numpy_seconds:.3f} CPU s in NumPy, {torch_seconds:.3f} in torch for ten windows of 3 s")


def compare(folder: Path, arguments: argparse.Namespace) -> None:
    """Print the three ways from files to vectors, and what chunks and shorter windows do."""
    from music_reclass.extractors import mert
    from music_reclass.extractors.device import Placement

    torch = importlib.import_module("torch")
    paths = clips(folder, arguments.tracks)
    on_card = arguments.device != "cpu" and torch.cuda.is_available()
    device = (arguments.device if arguments.device != "auto" else "cuda") if on_card else "cpu"
    jobs = arguments.jobs or (min(8, os.cpu_count() or 1) if on_card else 1)
    model = install_random(folder, "mert").to(device)
    short = shortened(model, device)
    extractor = mert.mert("mid30", Placement(arguments.device))
    size = extractor.network.batch_size((mert.WINDOW,))  # loads the network, measures its memory on a card
    ways = {
        "plain loop": functools.partial(plain_loop, model, device=device),
        "frugal loop": functools.partial(frugal_loop, short, device=device),
        "reclass": functools.partial(ours, extractor, jobs=jobs),
    }
    for way in ways.values():
        way(paths=paths[:1])  # warm
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            best[name] = min(best[name], timed(functools.partial(way, paths=paths))[1 if on_card else 0])
    windows, unit = 6 * len(paths), "s" if on_card else "CPU s"
    network = extractor.network
    notes = {
        "plain loop": f"{device}, float32, batch 1, 30 s, all layers",
        "frugal loop": f"{device}, bfloat16, batch 2, 5 s, seven layers",
        "reclass": f"{network.device.name}, {network.precision}, batches of {size.count}, 5 s",
    }
    for name, seconds in best.items():
        ratio = seconds / best["reclass"]
        print(f"{name:<12} {seconds:7.2f} {unit}   {seconds / windows:6.3f} a window   {ratio:5.2f}x   ({notes[name]})")
    if on_card:
        share = share_of_peak(model, device, windows / best["reclass"])
        print(f"share of the card's bfloat16 matrix rate: {share:.1%}")
    print("\n".join([*in_chunks(), *in_shorter_windows()]))


if __name__ == "__main__":
    main()
