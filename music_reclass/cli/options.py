"""The flags that many commands share, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from music_reclass.config import Settings

Command = TypeVar("Command", bound=Callable[..., Any])
POLICIES = ("keep", "replace-junk", "replace-conflict", "replace", "merge")

json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, nothing else.")
dry_run_flag = click.option(
    "-n", "--dry-run", "--pretend", "dry_run", is_flag=True, help="Show what would be written; write no tag."
)
bundle_flag = click.option(
    "--bundle",
    type=click.Path(path_type=Path, file_okay=False),
    help="A trained bundle, or a ladder of them, instead of the embedded models.",
)
yes_flag = click.option("-y", "--yes", is_flag=True, help="Write without asking.")
PROFILES = ("native", "plex", "navidrome", "jellyfin", "joined", "single")
profile_flag = click.option(
    "--profile",
    type=click.Choice(PROFILES),
    help="How several genres are laid out, by who will read them (default: native).",
)
on_existing_flag = click.option(
    "--on-existing",
    type=click.Choice(POLICIES),
    help="What may happen to a genre that is there (default: replace-junk, which fills empty and junk genres only).",
)


def database_flags(command: Command) -> Command:
    """--db and --config."""
    command = click.option(
        "--db",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The library database (default: in your data folder).",
    )(command)
    return click.option(
        "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="Another configuration file."
    )(command)


def network_flags(command: Command) -> Command:
    """--device, --gpu-memory, --precision: where networks run, and how much of it is theirs."""
    for flag in (
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
            help="A network's numbers (default: auto).",
        ),
        click.option(
            "--gpu-memory", metavar="SIZE", help="How much of the card it may take: 4GiB, or a share such as 0.5."
        ),
        click.option("--device", metavar="NAME", help="Where a network runs: auto, cpu, cuda, cuda:1 (default: auto)."),
    ):
        command = flag(command)
    return command


def write_flags(command: Command) -> Command:
    """Every command that may write: -n, -y, --json, --db, --config."""
    for flag in (database_flags, json_flag, yes_flag, dry_run_flag):
        command = flag(command)
    return command


def settings_from(config_file: Path | None, **flags: Any) -> Settings:
    """The settings of this call: defaults < file < RECLASS_* < flags."""
    from music_reclass.config import load

    return load(flags, config_file)


def write_option_flags(command: Command) -> Command:
    """How genres are written into files: policy, layout, and what becomes of times and hard links."""
    for flag in (
        click.option(
            "--detach-hard-links", is_flag=True, default=None,
            help="Write to hard-linked files, parting them from their other names.",
        ),
        click.option(
            "--preserve-mtime", is_flag=True, default=None,
            help="Keep modification times; media servers may then miss the change.",
        ),
        profile_flag, on_existing_flag,
    ):  # fmt: skip
        command = flag(command)
    return command
