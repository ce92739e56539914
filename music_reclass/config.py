"""Settings: defaults, the configuration file, RECLASS_* variables and flags, in rising priority."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from music_reclass.errors import UsageError


class Secret:
    """A word that no repr, log, error or JSON shows; `reveal()` gives it to the one place that needs it."""

    __slots__ = ("_word",)

    def __init__(self, word: str) -> None:
        self._word = word

    def reveal(self) -> str:
        """The word itself."""
        return self._word

    def __bool__(self) -> bool:
        return bool(self._word)

    def __repr__(self) -> str:
        return "<hidden>"


NO_SECRET = Secret("")


OTHER_VARIABLES = ("RECLASS_CONFIG", "RECLASS_DEBUG", "RECLASS_MODELS")  # read where they are needed

CHOICES = {
    "on_existing": ("keep", "replace-junk", "replace-conflict", "replace", "merge"),
    "profile": ("native", "plex", "navidrome", "jellyfin", "joined", "single"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
}
LOWEST: dict[str, float] = {
    "jobs": 0, "timeout": 1, "max_genres": 1, "max_tracks": 0, "plex_rate": 0, "plex_timeout": 1,
}  # fmt: skip
DURATIONS = ("max_time",)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run needs to know; every field may stand in config.toml or as RECLASS_<FIELD>."""

    db: Path | None = None  # the library database; None: in the user's data folder
    bundle: Path | None = None  # a trained bundle for the first stage; None: the embedded one
    stages: str = "auto"  # which stages may vote: "1", "1,musicnn"; auto: the first and those that are installed
    taxonomy: Path | None = None  # a TOML file layered over the built-in taxonomy
    jobs: int = 0  # worker processes; 0: the cores less one, at most eight
    timeout: float = 120.0  # seconds one file may take before it is given up
    on_existing: str = "replace-junk"
    max_genres: int = 1
    profile: str = "native"  # how several genres are laid out in a file: see tagging.profiles
    album: bool = True  # whether the tracks of an album vote together
    preserve_mtime: bool = False
    detach_hard_links: bool = False
    device: str = "auto"  # for neural stages: auto, cpu, cuda, cuda:1
    gpu_memory: str = ""  # how much of the card they may take: "4GiB", "0.5"; empty: what is free
    precision: str = "auto"  # auto, fp32, bf16, fp16
    all_layers: bool = False  # store the means of all layers of MERT beside the one that is voted with
    max_time: str = ""  # how long the later stages may listen in one run: "2h", "1h30m", "90s"; empty: no limit
    max_tracks: int = 0  # how many tracks they may listen to in one run; 0: no limit
    plex_url: str = ""  # where the Plex server answers; empty: PLEX_URL of the environment
    plex_token: Secret = NO_SECRET  # better kept in a file of its own, or in RECLASS_PLEX_TOKEN
    plex_token_file: Path | None = None  # holds the token and nothing else; nobody but you may read it
    plex_library: str = ""  # which music library of the server; empty: the only one
    plex_rate: float = 5.0  # requests a second; 0: as fast as the server answers
    plex_timeout: float = 30.0  # seconds the Plex server may take for one answer

    @property
    def database(self) -> Path:
        """Where the library database lies."""
        if self.db is not None:
            return self.db
        import platformdirs

        return Path(platformdirs.user_data_dir("reclass", appauthor=False)) / "library.sqlite3"

    @property
    def workers(self) -> int:
        """How many worker processes to run, at least one."""
        return self.jobs if self.jobs > 0 else max(1, min((os.cpu_count() or 2) - 1, 8))

    @property
    def max_seconds(self) -> float | None:
        """How long the later stages may listen; None: no limit."""
        return seconds_of(self.max_time) if self.max_time else None


def seconds_of(text: str) -> float:
    """The seconds of a length of time such as `2h`, `1h30m` or `90s`; UsageError for anything else, and for none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip().lower())
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not total or re.sub(r"(\d+(?:\.\d+)?)\s*([smhd])\s*", "", text.strip().lower()):
        raise UsageError(f"{text!r} is no length of time; write it like 2h, 30m, 1h30m or 90s.")
    return total


def load(flags: Mapping[str, Any], file: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings for one command. `flags` that are None do not count. UsageError for unknown keys or bad values."""
    settings = Settings()
    path = file or default_file()
    if path.is_file():
        settings = _override(settings, _read(path), str(path))
    elif file is not None:
        raise UsageError(f"the configuration file {file} does not exist.")
    variables = {
        name.removeprefix("RECLASS_").lower(): value
        for name, value in environment.items()
        if name.startswith("RECLASS_") and name not in OTHER_VARIABLES
    }
    settings = _override(settings, variables, "the environment (RECLASS_*)")
    return _override(settings, {key: value for key, value in flags.items() if value is not None}, "the flags")


def default_file() -> Path:
    """`RECLASS_CONFIG`, else config.toml in the user's configuration folder."""
    if named := os.environ.get("RECLASS_CONFIG"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_config_dir("reclass", appauthor=False)) / "config.toml"


def _read(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the configuration file {path} cannot be read: {error}.") from error
    if {"plex_token", "plex-token"} & values.keys() and open_to_others(path.stat().st_mode):
        raise UsageError(f"{path} holds your Plex token and others can read it: chmod 600 {path}")
    return values


def open_to_others(mode: int) -> bool:
    """Whether the mode bits of a file let anybody but its owner in; never on Windows, where they say nothing."""
    return sys.platform != "win32" and bool(mode & 0o077)


def _override(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    hints = get_type_hints(Settings)
    known = {field.name for field in fields(Settings)}
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; the settings are {', '.join(sorted(known))}."
            raise UsageError(f"{source} holds an unknown setting {key!r}{hint}")
        if name in CHOICES and value not in CHOICES[name]:
            raise UsageError(f"{source} gives {name} the value {value!r}; choose one of {', '.join(CHOICES[name])}.")
        changes[name] = _converted(name, value, hints[name], source)
        if name in DURATIONS and changes[name]:
            seconds_of(changes[name])
        if name in LOWEST and not LOWEST[name] <= changes[name] < float("inf"):
            raise UsageError(f"{source} gives {name} the value {value!r}; {LOWEST[name]} is the least.")
    return replace(settings, **changes)


def _converted(name: str, value: Any, wanted: Any, source: str) -> Any:
    try:
        if wanted is bool:
            if isinstance(value, bool):
                return value
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]
        if wanted is int and not isinstance(value, bool):
            return int(value)
        if wanted is float and not isinstance(value, bool):
            return float(value)
        if wanted is str and isinstance(value, str):
            return value
        if wanted is Secret and isinstance(value, str):
            return Secret(value)
        if wanted == (Path | None):
            return Path(value).expanduser()
    except (KeyError, TypeError, ValueError):
        pass
    shown = "a value" if wanted is Secret else f"the value {value!r}"
    raise UsageError(f"{source} gives {name} {shown}, which does not fit.")


def remember(file: Path, name: str, value: str) -> None:
    """Set the top-level setting `name` to the text `value`; UsageError where the file cannot be written."""
    from music_reclass.errors import UsageError

    line = f"{name} = {json.dumps(value, ensure_ascii=False)}"
    try:
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = old.splitlines()
        tables = next((number for number, text in enumerate(lines) if text.lstrip().startswith("[")), len(lines))
        place = next((n for n in range(tables) if re.match(rf"\s*{re.escape(name)}\s*=", lines[n])), None)
        lines[tables if place is None else place : tables if place is None else place + 1] = [line]
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if file.exists():
            os.chmod(unfinished, file.stat().st_mode & 0o777)
        unfinished.replace(file)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"the setting {name} cannot be written to {file} ({error}); write the line {line}") from error
