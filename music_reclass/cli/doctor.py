"""Is everything here that a scan needs? Each line says what was found, and the cure where it falls short."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass import __version__
from music_reclass.cli import doctor_gpu, doctor_skew, doctor_tags
from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import print_json, say

if TYPE_CHECKING:
    from music_reclass.config import Settings

PACKAGES = ("numpy", "scipy", "soundfile", "av", "soxr", "mutagen", "rich", "click", "platformdirs")
EXTRAS = {"torch": "neural", "transformers": "neural", "sklearn": "train", "librosa": "test"}


@click.group(invoke_without_command=True)
@database_flags
@json_flag
@click.pass_context
def doctor(context: click.Context, db: Path | None, config_file: Path | None, as_json: bool) -> int:
    """Check the installation: packages, decoders, model, database, disk."""
    if context.invoked_subcommand is not None:
        return 0
    settings = settings_from(config_file, db=db)
    worst = 0
    for name, fine, text in _checks(settings):
        worst = worst if fine else 1
        if as_json:
            print_json({"check": name, "ok": fine, "detail": text})
        else:
            say(name, text if fine else click.style("! ", fg="red") + text)
    return worst


doctor.add_command(doctor_tags.tags)
doctor.add_command(doctor_gpu.gpu)
doctor.add_command(doctor_skew.skew)


def _checks(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    yield "reclass", True, f"{__version__} on Python {platform.python_version()}, {platform.machine()}"
    for label, check in (
        ("packages", _packages),
        ("decoders", _decoders),
        ("self-test", _self_test),
        ("model", _model),
    ):
        yield label, *_guarded(check)
    yield "workers", True, f"{settings.workers} processes, {settings.timeout:g} s for one file at most"
    yield "database", *_guarded(lambda: _database(settings.database))
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

    from music_reclass.classification.reading import VectorReader
    from music_reclass.extractors.synthesis import encode, song

    tune = song(seed=1, seconds=6)
    vectors = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".flac", ".m4a"):
            path = Path(folder) / f"tune{suffix}"
            encode(path, tune)
            vectors.append(VectorReader("fma518", "mid30")(path))
    return f"a tune written as FLAC and AAC, read back: {len(vectors[0])} features each"


def _model() -> str:
    from music_reclass.training import bundles

    bundle = bundles.embedded()
    return f"{bundle.name} {bundle.version}, {len(bundle.labels)} genres, digest {bundle.digest[:12]}"


def _database(path: Path) -> str:
    from music_reclass.features.database import Database
    from music_reclass.features.store import Library
    from music_reclass.utils.filesystem import is_network_mount

    if not path.exists():
        return f"{path} (none yet; the first scan makes it)"
    totals = Library(Database(path)).totals()
    free = shutil.disk_usage(path.parent).free / 1e9
    note = "; on a network share, so without write-ahead log: slower" if is_network_mount(path.parent) else ""
    return f"{path}, {totals['tracks']:,} tracks, {path.stat().st_size / 1e6:.1f} MB, {free:.0f} GB free{note}"


def _extras() -> str:
    from importlib.util import find_spec

    have = [name for name in EXTRAS if find_spec(name)]
    lack = [f"{name} (music_reclass[{extra}])" for name, extra in EXTRAS.items() if name not in have]
    return (
        f"installed: {', '.join(have) or 'none'}; not installed: {', '.join(lack) or 'none'} - none is needed to scan"
    )
