"""`doctor`: checks of the installation, the GPU, the library's features, and the tags of a file."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass import __version__
from music_reclass.cli.options import Commands, json_flag, setting_flags
from music_reclass.cli.output import emit, plain, print_json, printable, say, styled
from music_reclass.utils.words import counted, verb

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.extractors.device import Device


@click.command("gpu")
@click.option("--gpu-memory", "ceiling", default="", help="Count with a ceiling: 4GiB, 512MiB, or a share such as 0.5.")
@json_flag
def gpu(ceiling: str, as_json: bool) -> int:
    """Show the devices that MERT and OpenJMLA could run on; where one is not used, the command that mends it."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    from music_reclass.errors import MissingExtra
    from music_reclass.utils import torch_install
    from music_reclass.utils.lazy import require

    found: list[dict[str, Any]] = []
    version = cuda = None
    machine = torch_install.this_machine(_driver())
    try:
        torch = require("torch", "neural")
    except MissingExtra as error:  # absent, or installed and does not load
        try:
            advice = torch_install.broken(machine, version_of("torch"), str(error))
        except PackageNotFoundError:
            advice = torch_install.missing(machine)
    else:
        version, cuda = torch.__version__, torch.version.cuda
        devices = _devices(torch)
        found = [_facts(device, torch, ceiling) for device in devices]
        cards = tuple(device.capability for device in devices if not device.is_cpu)
        trouble = next((facts["trouble"] for facts in found if facts["trouble"]), "")
        advice = torch_install.cure(machine, version, cuda, cards, trouble=trouble)
    if as_json:
        print_json(
            {"torch": version, "cuda": cuda, "devices": found, "cure": advice.sentence, "install": list(advice.lines)}
        )
    else:
        if version is not None:
            say("torch", f"{version}, " + (f"CUDA {cuda}" if cuda else "without CUDA"))
        for facts in found:
            for label, text in _lines(facts):
                say(label, text)
        for line in (advice.sentence, *advice.lines):
            if line:
                plain(printable(line))
    return 0 if version is not None else 1


def _driver() -> str:
    from music_reclass.extractors.memory import nvml_reading

    reading = nvml_reading("")
    return (reading.driver or "") if reading is not None else ""


def _devices(torch: Any) -> list[Device]:
    from music_reclass.extractors.device import devices

    return devices(torch)


def _facts(device: Device, torch: Any, ceiling: str) -> dict[str, Any]:
    from music_reclass.extractors.device import free_bytes, refusal
    from music_reclass.extractors.memory import nvml_reading, parse_bytes

    free, source = free_bytes(device, torch, ceiling)
    nvml = nvml_reading(device.uuid) if device.uuid else None
    return {
        "device": device.name,
        "title": device.title,
        "capability": ".".join(map(str, device.capability)) if device.is_cuda else None,
        "unified": device.unified or device.is_cpu,
        "precision": device.half or "fp32",
        "total_bytes": device.total,
        "free_bytes": free,
        "free_by": source,
        "ceiling_bytes": parse_bytes(ceiling, device.total) if ceiling and not device.is_cpu else None,
        "driver": nvml.driver if nvml else None,
        "busy_percent": nvml.busy if nvml else None,
        "trouble": "" if device.is_cpu else refusal(device, torch),
        "batch": None if device.is_cpu else _batches(device, free),
    }


def _batches(device: Device, free: int) -> dict[str, int]:
    """How many windows a scan would give each network at once: by the same prediction, and never more at first."""
    from music_reclass.extractors import jmla, mert
    from music_reclass.extractors.batching import Slope
    from music_reclass.extractors.network import predicted_batch
    from music_reclass.extractors.weights import catalogue

    share = 0.5 if device.half else 1.0
    windows = {"mert": mert.WINDOW_BYTES, "mert-330m": mert.WINDOW_BYTES, "jmla": jmla.WINDOW_BYTES}
    return {
        name: predicted_batch(device, free, Slope(0, each * share), catalogue.model(name).size * share)
        for name, each in windows.items()
    }


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from music_reclass.extractors.memory import readable

    capability = f", compute capability {facts['capability']}" if facts["capability"] else ""
    yield facts["device"], f"{facts['title']}{capability}, computes in {facts['precision']}"
    is_card = facts["batch"] is not None
    shared = ", shared with the processor" if facts["unified"] and is_card else ""
    total, free = readable(facts["total_bytes"]), readable(facts["free_bytes"])
    yield "memory", f"{total}{shared}; {free} for us ({facts['free_by']})"
    if facts["ceiling_bytes"]:
        yield "ceiling", readable(facts["ceiling_bytes"])
    if facts["capability"]:
        reported = [f"driver {facts['driver']}"] if facts["driver"] else []
        reported += [f"busy {facts['busy_percent']} %"] if facts["busy_percent"] is not None else []
        yield "NVML", ", ".join(reported) or "does not answer here (usual on a Jetson)"
    if is_card:
        yield "batches", ", ".join(f"{name} {count}" for name, count in facts["batch"].items()) + " windows (predicted)"
    if facts["trouble"]:
        yield "trouble", facts["trouble"]


_MOST = 20_000  # tracks looked at, spread over the library


@click.command("skew")
@setting_flags("bundle")
@json_flag
def drift(as_json: bool, settings: Settings) -> int:
    """Compare the library's features with those the model was trained on, family by family, and say what differs."""
    import numpy as np

    from music_reclass.cli.session import reading
    from music_reclass.errors import NothingToDo
    from music_reclass.features.library import Library
    from music_reclass.models.bundle import embedded, load_cascade
    from music_reclass.training import drift as comparison

    model = embedded() if settings.bundle is None else load_cascade(settings.bundle)[0]
    with reading(settings) as library:
        vectors = Library(library).sampled_vectors(model.kinds[0], _MOST)
    if not vectors:
        raise NothingToDo(f"The library holds no {model.kinds[0].key} features yet: scan a folder first.")
    found = comparison.drift(np.stack(vectors), comparison.reference_of(model))
    for family, psi in found.psi.items():
        level = "much" if psi > comparison.MUCH else "some" if psi > comparison.SOME else "same"
        shift = found.shift[family]
        text = f"{family:<20} PSI {psi:6.3f}  {level:<6} means {shift:+.2f} sd"
        moved = None if shift != shift else round(shift, 3)
        emit({"family": family, "psi": round(psi, 4), "shift": moved, "level": level}, text, as_json, "")
    for sentence in found.findings:
        emit({"finding": sentence}, sentence, as_json, "finding")
    if not as_json:
        say(
            "compared",
            f"{counted(found.count, 'track')} with {model.name} {model.version}; PSI to 0.1: same, over 0.25: much",
        )
    return 0


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_flag
def tags(file: Path, as_json: bool) -> None:
    """What Plex, Navidrome, Jellyfin and tag editors would read as the genre of FILE."""
    from music_reclass.errors import NothingToDo
    from music_reclass.tagging.readers import PROGRAMS, blind_spots, readers

    if not file.exists():
        raise NothingToDo(f"The file {printable(str(file))} does not exist.")
    found = readers(file)
    notes = blind_spots(found)
    if as_json:
        values = {name: None if genres is None else list(genres) for name, genres in found.items()}
        print_json({"path": str(file), "readers": values, "notes": notes})
        return
    for name, genres in found.items():
        shown = "(no genre)" if genres is None else " | ".join(genres) or "(empty)"
        say(name, f"{printable(shown):<40} {styled(PROGRAMS[name], 'dim')}")
    for note in notes:
        plain(f"note: {printable(note)}")


PACKAGES = ("numpy", "scipy", "soundfile", "av", "soxr", "mutagen", "rich", "click", "platformdirs")
EXTRAS = {"torch": "neural", "sklearn": "train", "librosa": "test"}


@click.group(cls=Commands, invoke_without_command=True)
@setting_flags()
@json_flag
@click.pass_context
def doctor(context: click.Context, as_json: bool, settings: Settings) -> int:
    """Check the installation: packages, decoders, model, database, disk."""
    if context.invoked_subcommand is not None:
        return 0
    worst = 0
    for name, fine, text in _checks(settings):
        worst = worst if fine else 1
        mark = "" if fine else styled("! ", "red")
        emit({"check": name, "ok": fine, "detail": text}, mark + text, as_json, name)
    return worst


doctor.add_command(tags)
doctor.add_command(gpu)
doctor.add_command(drift)


def _checks(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    from music_reclass.extractors.memory import workers_for

    yield "reclass", True, f"{__version__} on Python {platform.python_version()}, {platform.machine()}"
    for label, check in (
        ("packages", _packages),
        ("decoders", _decoders),
        ("self-test", _self_test),
        ("model", partial(_model, settings)),
    ):
        yield label, *_guarded(check)
    yield "heads", *_guarded(partial(_heads, settings))
    count = workers_for(settings)
    processes = f"{count} {verb(count, 'process', 'processes')}"
    yield "workers", True, f"{processes}, {settings.timeout:g} s for one file at most"
    yield "database", *_guarded(lambda: _database(settings.database))
    yield "learned", *_guarded(lambda: _learned(settings.database))
    yield "extras", True, _extras()


def _guarded(check: Callable[[], str]) -> tuple[bool, str]:
    from music_reclass.errors import ReclassError, TrackError

    try:
        return True, check()
    except (ReclassError, TrackError, ImportError, OSError) as error:
        return False, str(error)


def _packages() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def _decoders() -> str:
    import av
    import soundfile

    wanted = {
        "mp3", "flac", "vorbis", "opus", "aac", "alac", "wmav2", "wavpack", "ape", "tta", "dsd_lsbf", "mpc7", "mpc8",
    }  # fmt: skip
    missing = wanted - set(av.codecs_available)
    text = f"libsndfile {soundfile.__libsndfile_version__}, FFmpeg libraries {len(av.codecs_available)} codecs"
    return text + (f"; not built in: {', '.join(sorted(missing))}" if missing else "")


def _self_test() -> str:
    import tempfile

    from music_reclass.classification.reading import read_vector
    from music_reclass.extractors.audio.synthesis import encode, song

    tune = song(seed=1, seconds=6)
    vectors = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".flac", ".m4a"):
            path = Path(folder) / f"tune{suffix}"
            encode(path, tune)
            vectors.append(read_vector(path, "fma518", "mid30"))
    return f"a tune written as FLAC and AAC, read back: {len(vectors[0])} features each"


def _model(settings: Settings) -> str:
    """The stages of a scan, and which of them cannot run here."""
    from music_reclass.cli.session import bundles_of_scan, usable

    chosen, obstacles = usable(bundles_of_scan(settings))
    first, *later = chosen
    text = f"{first.name} {first.version}, {len(first.labels)} genres, digest {first.digest[:12]}"
    text += "".join(f"; then {bundle.name} {bundle.version}, digest {bundle.digest[:12]}" for bundle in later)
    return text + (f"; cannot run here: {', '.join(obstacles)}" if obstacles else "")


def _heads(settings: Settings) -> str:
    """Which installed models no stage reads, and the line that makes a stage of each."""
    from music_reclass.cli.models import heads_lacking

    lacking = heads_lacking(settings)
    if not lacking:
        return "every installed network is read by a stage, or gives evidence"
    return "; ".join(f"{name}: {head.sentence()}" for name, head in lacking.items())


def _database(path: Path) -> str:
    """Looks only: a library of an earlier release is left as it is."""
    from music_reclass.features.database import NEWEST_SCHEMA, Database
    from music_reclass.features.library import Library
    from music_reclass.utils.files import is_network_mount

    if not path.exists():
        return f"{path} (none yet; the first scan makes it)"
    database = Database(path, migrate=False)
    try:
        tracks, schema = Library(database).totals()["tracks"], database.schema
    finally:
        database.close()
    size, free = path.stat().st_size / 1e6, shutil.disk_usage(path.parent).free / 1e9
    text = f"{path}, {counted(tracks, 'track')}, {size:.1f} MB, {free:.0f} GB free"
    if schema < NEWEST_SCHEMA:
        text += f"; schema {schema} of an earlier release, which the next scan brings to {NEWEST_SCHEMA}"
    if is_network_mount(path.parent):
        text += "; on a network share, so without write-ahead log: slower"
    return text


def _learned(database: Path) -> str:
    """What the library has taught, and whether the models inside the package have changed since."""
    import datetime

    from music_reclass.classification.learned import stored
    from music_reclass.cli.session import untaught_bundles

    found = stored(database)
    if found is None:
        return "nothing from this library (reclass learn)"
    summary = found.summary
    made = datetime.date.fromtimestamp(summary["made"])
    what = f"{len(summary['genres'])} genres" if found.bundles else "no genres"
    what += ", and how much tags nearby count," if found.prior is not None else ""
    text = f"{what} from {counted(summary['tracks'], 'track')} on {made}, used by every scan"
    if set(summary["base"]) <= {bundle.digest for bundle in untaught_bundles()}:
        return text
    return f"{text}; beside models of an earlier release: learn again (reclass learn)"


def _extras() -> str:
    from importlib.util import find_spec

    have = [name for name in EXTRAS if find_spec(name)]
    lack = [f"{name} (music_reclass[{extra}])" for name, extra in EXTRAS.items() if name not in have]
    return (
        f"installed: {', '.join(have) or 'none'}; not installed: {', '.join(lack) or 'none'} - none is needed to scan"
    )
