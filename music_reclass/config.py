"""Settings: defaults, the configuration file, RECLASS_* variables and flags, in rising priority."""

from __future__ import annotations

import difflib
import itertools
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from music_reclass.domain import OnExisting
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


# What a command after_write learns of the run; it may call reclass in turn.
RUN_VARIABLES = ("RECLASS_COMMAND", "RECLASS_FOLDERS", "RECLASS_RUN", "RECLASS_WRITTEN")
OTHER_VARIABLES = (
    "RECLASS_CONFIG",
    "RECLASS_DEBUG",
    "RECLASS_MODELS",
    "RECLASS_PROGRESS",
    "RECLASS_WEB_TOKEN",
    *RUN_VARIABLES,
)  # read where they are needed
PROFILES = ("native", "plex", "navidrome", "jellyfin", "joined", "single")
EXIT_POLICY = r"certified|expected|fixed:(?:0?\.\d*[1-9]\d*|1(?:\.0*)?)"
EFFORTS = ("quick", "balanced", "thorough")
STYLES = ("off", "genre", "style")
CONFIDENCES = ("likely", "confident")
_CONFIDENCE = r"likely|confident|0?\.\d+|0(?:\.0*)?|1(?:\.0*)?"
_DEVICES = r"auto|mps|cuda|cpu(,\s*cpu)*|cuda:\d+(,\s*cuda:\d+)*"
_MEMORY = r"|(\d+(\.\d+)?|\.\d+)\s*(%|(?i:[kmgt]?i?b?))"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ENDLESS = "inf"
_ENVIRONMENT, _FLAGS = "The environment (RECLASS_*)", "The command line"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _setting(
    default: Any,
    meaning: str,
    *,
    shown: str = "",
    flags: tuple[str, ...] = (),
    bare: str = "",
    metavar: str = "",
    choices: tuple[str, ...] = (),
    pattern: str = "",
    words: Mapping[str, Any] | None = None,
    least: float | None = None,
    most: float | None = None,
    is_duration: bool = False,
    is_folder: bool = False,
) -> Any:
    """Declare one setting: its default and meaning, how the default is shown, its flags (`--name` where none is given),
    what a `bare` flag without a value means, what values are allowed, and `words` that stand for values."""
    said: dict[str, Any] = {"meaning": meaning, "shown": shown, "flags": flags, "bare": bare, "metavar": metavar}
    said |= {"choices": choices, "pattern": pattern, "words": words or {}, "least": least, "most": most}
    return field(default=default, metadata={**said, "is_duration": is_duration, "is_folder": is_folder})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a command needs to know; every field may stand in config.toml or as RECLASS_<FIELD>.

    This is the one declaration of each setting: `cli.options.setting_flags` makes the flags from it, and
    `docs/make_commands.py` the table of the reference.
    """

    db: Path | None = _setting(None, "The library database; keep it on a local disk.", shown="in your data folder")
    bundle: Path | None = _setting(
        None, "A trained bundle, or a cascade of them.", shown="the embedded models", is_folder=True
    )
    stages: str = _setting(
        "auto",
        "Which stages may vote, by name or number: 1 (the first alone), 1,musicnn, or auto: the first and those whose "
        "weights are installed.",
        metavar="LIST",
    )
    exit_policy: str = _setting(
        "expected",
        "When a track needs no further stage: certified (by the guarantees of the exit rules), expected (by what "
        "asking on should gain for the seconds it takes), or fixed:0.85 (from that confidence on).",
        metavar="POLICY", pattern=EXIT_POLICY,
    )  # fmt: skip
    effort: str = _setting(
        "balanced", "How much time a track more that is right is worth to the exit policy expected.", choices=EFFORTS
    )
    taxonomy: Path | None = _setting(None, "A TOML file layered over the built-in genres.", shown="none")
    jobs: int = _setting(
        0, "Worker processes; auto: one for each core, as far as there is memory for them.", shown="auto",
        flags=("-j", "--jobs"), metavar="N", words={"auto": 0}, least=0,
    )  # fmt: skip
    windows: int = _setting(
        1, "How many excerpts of 30 s vote at the first stages where a track is long enough: 1, its middle, to 5.",
        metavar="N", least=1, most=5,
    )  # fmt: skip
    timeout: float = _setting(
        120.0, "Seconds one file may take before it is given up (failed: timeout).", metavar="SECONDS", least=1
    )
    worker_memory: float = _setting(
        4.0, "GiB of memory one worker may take; a file that needs more fails (failed: memory). 0: no limit.",
        metavar="GIB", least=0,
    )  # fmt: skip
    on_existing: str = _setting(
        OnExisting.REPLACE_JUNK.value,
        "What may happen to a genre that is there; replace-junk fills empty and junk genres only.",
        choices=tuple(policy.value for policy in OnExisting),
    )
    min_confidence: str = _setting(
        "likely", "What may be written at all: likely, confident, or a number from 0 to 1.",
        metavar="P", pattern=_CONFIDENCE,
    )  # fmt: skip
    max_genres: int = _setting(1, "How many genres may be written to a file.", metavar="N", least=1)
    profile: str = _setting(
        "native", "How several genres are laid out in a file, by the program that will read them.", choices=PROFILES
    )
    genres: str = _setting(
        "",
        "The only genres that `genres clean` leaves in files, with ; between them; others become the nearest one "
        "above them. In the file a list: genres.only = [\"Rock\", \"Jazz\"].",
        shown="all", flags=("--only",), metavar="LIST",
    )  # fmt: skip
    styles: str = _setting(
        "off",
        "Whether a style below the decided genre is written in its place (genre), or beside it into the field STYLE "
        "(style), where `calibrate --from-library` has certified it by the library's own tags.",
        choices=STYLES,
    )
    prior: str = _setting(
        "",
        "How frequent genres are in your music: library (estimated from the votes on it), or shares such as "
        "Jazz=0.7,Blues=0.1, which may also stand as a table [prior] in the file.",
        shown="as in the training", metavar="PRIOR",
    )  # fmt: skip
    speech: str = _setting(
        "skip",
        "What podcasts and audiobooks get: no genre (skip), or Spoken.",
        choices=("skip", "spoken"),
    )
    album: bool = _setting(True, "Whether the tracks of an album vote together.")
    preserve_mtime: bool = _setting(
        False, "Keep a written file's modification time; media servers may then miss the change."
    )
    detach_hard_links: bool = _setting(
        False, "Write to hard-linked files, which parts them from their other names; else left alone."
    )
    device: str = _setting(
        "auto", "Where networks run: auto, cpu, cuda, cuda:1, mps, or several cards: cuda:0,cuda:1.",
        metavar="NAME", pattern=_DEVICES,
    )  # fmt: skip
    gpu_memory: str = _setting(
        "",
        "How much of the card networks may take: 4GiB, or a share such as 0.5.",
        shown="what is free",
        metavar="SIZE",
        pattern=_MEMORY,
    )
    precision: str = _setting("auto", "The numbers networks compute with.", choices=PRECISIONS)
    max_time: str = _setting(
        "",
        "How long the later stages may work in one scan: 2h, 30m, 1h30m, 90s.",
        shown="no limit",
        metavar="TIME",
        is_duration=True,
    )
    max_tracks: int = _setting(
        0, "How many tracks the later stages may take in one scan, the most valuable first; 0: no limit.",
        shown="no limit", metavar="N", least=0,
    )  # fmt: skip
    watch_settle: float = _setting(
        30.0, "Seconds for which nothing may change in a folder before `watch` takes it up.",
        flags=("--settle",), metavar="SECONDS", least=0.1,
    )  # fmt: skip
    watch_interval: float = _setting(
        300.0, "Seconds between two walks of `watch` where the system reports no changes.",
        flags=("--interval",), metavar="SECONDS", least=1,
    )  # fmt: skip
    after_write: Secret = _setting(
        NO_SECRET,
        "A command that runs once after a run that wrote files, or undid it, so that other servers read them. No shell "
        "reads it; it finds RECLASS_RUN, RECLASS_COMMAND, RECLASS_WRITTEN and RECLASS_FOLDERS in its environment.",
        shown="none",
    )
    wait: float = _setting(
        0.0,
        "Seconds to wait while another command writes to this library; bare --wait: until it has ended.",
        shown="do not wait", metavar="[SECONDS]", bare=ENDLESS, least=0,
    )  # fmt: skip
    plex_url: str = _setting("", "Where the Plex server answers.", shown="`PLEX_URL` of the environment")
    plex_token: Secret = _setting(
        NO_SECRET, "The token itself; better in the file, or in RECLASS_PLEX_TOKEN or PLEX_TOKEN.", shown="none"
    )
    plex_token_file: Path | None = _setting(
        None, "A file that holds the token and nothing else, readable by you alone.", shown="none"
    )
    plex_library: str = _setting(
        "", "Which music library of the Plex server.", shown="the only one", flags=("--library",), metavar="NAME"
    )
    plex_rate: float = _setting(
        5.0,
        "Edits a second on the Plex server, and reads of one outside this network; 0: as fast as it answers.",
        least=0,
    )
    plex_timeout: float = _setting(30.0, "Seconds the Plex server may take for one answer.", least=1)

    @property
    def database(self) -> Path:
        """Where the library database lies."""
        if self.db is not None:
            return self.db
        import platformdirs

        return Path(platformdirs.user_data_dir("reclass", appauthor=False)) / "library.sqlite3"

    @property
    def worker_bytes(self) -> int:
        """How much memory one worker may take; 0: no limit."""
        return int(self.worker_memory * 2**30)

    @property
    def max_seconds(self) -> float | None:
        """How long the later stages may work; None: no limit."""
        return seconds_of(self.max_time) if self.max_time else None


def usable_cores(groups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """How many cores this process may keep busy: those it may run on, fewer where a container or service has a quota.

    `membership` names the control groups of this process below `groups`; the quota (version 1 or 2) of any group above
    counts. A part of a core counts as one, as in other programs that read the quota.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        count = os.cpu_count() or 2
    try:
        paths = {line.split(":", 2)[2] for line in membership.read_text().splitlines()}
    except (OSError, IndexError):
        paths = {"/"}
    below = {parent for path in paths for parent in (Path(path), *Path(path).parents)} | {Path("/")}
    for root, parent in itertools.product((groups, groups / "cpu"), below):
        quota = _quota(root / parent.relative_to("/"))
        if quota is not None:
            count = min(count, math.ceil(quota))
    return max(1, count)


def _quota(group: Path) -> float | None:
    """The cores that a control group allows; None for no limit."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max", or there is no such group
        return None


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
    for source, values in _sources(flags, file, environment):
        settings = _override(settings, values, source)
    return settings


def origins(
    flags: Mapping[str, Any], file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Where each setting of `load` comes from: `default`, a configuration file, a variable, or `flag`."""
    found = {setting.name: "default" for setting in fields(Settings)}
    for source, values in _sources(flags, file, environment):
        for key in values:
            name = key.replace("-", "_")
            word = {_ENVIRONMENT: f"RECLASS_{name.upper()}", _FLAGS: "flag"}.get(source, source)
            found[name] = word
    return found


def _sources(
    flags: Mapping[str, Any], file: Path | None, environment: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What is set where, in rising priority."""
    path = file or default_file()
    if path.is_file():
        yield str(path), _read(path)
    elif file is not None:
        raise UsageError(f"The configuration file {file} does not exist.")
    yield (
        _ENVIRONMENT,
        {
            name.removeprefix("RECLASS_").lower(): value
            for name, value in environment.items()
            if name.startswith("RECLASS_") and name not in OTHER_VARIABLES
        },
    )
    yield _FLAGS, {key: value for key, value in flags.items() if value is not None}


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
        raise UsageError(f"The configuration file {path} cannot be read: {error}.") from error
    if {"plex_token", "plex-token"} & values.keys() and open_to_others(path.stat().st_mode):
        raise UsageError(f"{path} holds your Plex token and others can read it: chmod 600 {path}.")
    return values


def open_to_others(mode: int) -> bool:
    """Whether the mode bits of a file let anybody but its owner in; never on Windows, where they say nothing."""
    return sys.platform != "win32" and bool(mode & 0o077)


def declared(name: str) -> Field[Any]:
    """The declaration of a setting: its default, and in `metadata` what `_setting` was given."""
    return next(setting for setting in fields(Settings) if setting.name == name)


def shown_default(name: str) -> str:
    """The default of a setting in words."""
    setting = declared(name)
    if isinstance(setting.default, bool):
        return "yes" if setting.default else "no"
    default = f"{setting.default:g}" if isinstance(setting.default, float) else str(setting.default)
    return str(setting.metadata["shown"]) or default


def _override(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    hints = get_type_hints(Settings)
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; the settings are {', '.join(sorted(hints))}."
            raise UsageError(f"{source} holds an unknown setting {key!r}{hint}")
        changes[name] = _converted(name, value, hints[name], source)
        _require_allowed(name, changes[name], source)
    return replace(settings, **changes)


def _require_allowed(name: str, value: Any, source: str) -> None:
    allowed = declared(name).metadata
    if allowed["choices"] and value not in allowed["choices"]:
        raise UsageError(f"{source} gives {name} the value {value!r}; choose one of {', '.join(allowed['choices'])}.")
    if allowed["pattern"] and not re.fullmatch(allowed["pattern"], value):
        raise UsageError(f"{source} gives {name} the value {value!r}; its values are: {allowed['meaning']}")
    if allowed["is_duration"] and value:
        seconds_of(value)
    if name == "after_write":
        try:
            shlex.split(value.reveal())
        except ValueError as error:
            raise UsageError(f"{source} gives after_write a command that cannot be taken apart: {error}.") from error
    is_endless = allowed["bare"] == ENDLESS and value == float("inf")
    if allowed["least"] is not None and not (allowed["least"] <= value < float("inf") or is_endless):
        raise UsageError(f"{source} gives {name} the value {value!r}; {allowed['least']} is the least.")
    if allowed["most"] is not None and value > allowed["most"]:
        raise UsageError(f"{source} gives {name} the value {value!r}; {allowed['most']} is the most.")


def _converted(name: str, value: Any, wanted: Any, source: str) -> Any:
    words = declared(name).metadata["words"]
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    try:
        if wanted is bool:
            if isinstance(value, bool):
                return value
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[str(value).lower()]
        if wanted is int and not isinstance(value, bool):
            return int(value)
        if wanted is float and not isinstance(value, bool):
            return float(value)
        if name == "prior" and isinstance(value, Mapping):
            return ",".join(f"{genre}={float(share):g}" for genre, share in value.items())
        if name == "genres" and isinstance(value, Mapping) and set(value) == {"only"}:
            return "; ".join([*map(str, value["only"])] if isinstance(value["only"], list) else [])
        if wanted is str and isinstance(value, str):
            return value
        if wanted is Secret and isinstance(value, str):
            return Secret(value)
        if wanted == (Path | None):
            return Path(os.path.expanduser(value))  # `~nobody` stays as it is
    except (KeyError, TypeError, ValueError):
        pass
    shown = "a value" if wanted is Secret else f"the value {value!r}"
    raise UsageError(f"{source} gives {name} {shown}, which does not fit.")


def remember(file: Path, name: str, value: str) -> None:
    """Set the top-level setting `name` to the text `value`; UsageError where the file cannot be written."""
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
        raise UsageError(f"The setting {name} cannot be written to {file} ({error}); write the line {line}.") from error
