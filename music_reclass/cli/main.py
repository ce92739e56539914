"""The command `reclass`: the list of commands, and the boundary that turns every failure into a sentence and a code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from music_reclass import __version__
from music_reclass.cli.output import SafeStream, complain, plain, printable
from music_reclass.config import ENDLESS
from music_reclass.errors import ReclassError, TrackError
from music_reclass.utils.workers import limit_threads

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
COMMANDS = {  # name: where the command is, and its first sentence; only the module of the command that runs is imported
    "apply": ("scan:apply", "Write the genres that earlier scans decided."),
    "audit": ("audit:audit", "List the genre tags that are most likely wrong."),
    "audit-exits": ("exits:audit_exits", "Measure what exiting early costs on this library."),
    "cluster": ("cluster:cluster", "Look at the nodes of a Ray cluster."),
    "completion": ("config:completion", "Complete commands and flags with the Tab key."),
    "config": ("config:config", "Show every setting, and where it comes from."),
    "calibrate": ("exits:calibrate", "Certify from which confidence on a track may exit early."),
    "db": ("db:db", "Look after the library database, and move it along."),
    "decide": ("decide:decide", "Say the genre of tracks, albums or artists yourself."),
    "demo": ("demo:demo", "See the whole job on a synthesised library."),
    "doctor": ("doctor:doctor", "Check packages, decoders, model, database and disk."),
    "edit": ("ask:edit", "Decide yourself, album by album."),
    "eval": ("eval:evaluate", "Measure how good a model is on labelled data."),
    "explain": ("explain:explain", "Say why a file got its genre."),
    "export": ("library:export", "Write all decisions as CSV, JSON lines or playlists."),
    "features": ("predict:features", "Compute the feature vector of each file."),
    "forget": ("db:forget", "Drop what the library knows of files that are gone."),
    "genres": ("genres:genres", "List genres, and clean those that your files hold."),
    "history": ("undo:history", "List the runs that wrote, and the files of each."),
    "learn": ("learn:learn", "Learn from the genre tags of your library."),
    "models": ("models:models", "List the models that decide, and download weights."),
    "playlist": ("similar:playlist", "Make a playlist of tracks that sound alike, or of a genre."),
    "plex": ("plex:plex", "Bring the decisions into a Plex library, and restore it."),
    "predict": ("predict:predict", "Predict the genre of each row of a feature table."),
    "relabel": ("relabel:relabel", "Decide the library again from stored votes; writes no tag."),
    "report": ("report:report", "Report figures of the library, as text, JSON or a page."),
    "scan": ("scan:scan", "Decide the genre of each track in a folder, and tag it."),
    "serve": ("web.command:serve", "Review, play and write in a browser; a REST API."),
    "similar": ("similar:similar", "List the tracks that sound most like a file."),
    "status": ("library:status", "Count the tracks by outcome, genre and failure."),
    "train": ("train:train", "Train a model on labelled data."),
    "undo": ("undo:undo", "Give every file of a run its very bytes back."),
    "watch": ("watch:watch", "Tag the music that arrives in a folder, album by album."),
}


GROUPS = {  # how `reclass --help` groups them; what stands in none comes last
    "Everyday": ("scan", "watch", "apply", "edit", "decide", "undo", "history", "status", "report", "relabel", "demo"),
    "Look closer": ("explain", "audit", "similar", "playlist", "export", "genres"),
    "Keep house": ("config", "db", "doctor", "forget", "completion"),
    "Train": ("models", "learn", "train", "eval", "calibrate", "audit-exits"),
    "Servers": ("plex", "serve", "cluster"),
    "For programs": ("features", "predict"),
}


class LazyCommands(click.Group):
    """A group whose commands are imported when one of them is asked for; its help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return sorted({*COMMANDS, *self.commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        place = module if "." in module else f"cli.{module}"
        command: click.Command = getattr(import_module(f"music_reclass.{place}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The names with their first sentences, without an import."""
        grouped = {name for names in GROUPS.values() for name in names}
        others = tuple(sorted(COMMANDS.keys() - grouped))
        width = max(map(len, COMMANDS))
        for title, names in (*GROUPS.items(), ("Others", others)):
            rows = [(f"{name:<{width}}", COMMANDS[name][1]) for name in names if name in COMMANDS]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


@click.group(cls=LazyCommands, context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, "-V", "--version", prog_name="reclass")
@click.pass_context
def cli(context: click.Context) -> None:
    """Classifies the tracks of a music library by genre, tags them, and can restore every byte."""
    if context.invoked_subcommand is None:
        _show_next_step()


def _show_next_step() -> None:
    """What `reclass` alone says: where things stand, and the command that comes next."""
    from music_reclass.config import load

    if not load({}).database.exists():
        plain("no library yet.       scan one:       reclass scan ~/Music     see it work:  reclass demo")
    else:
        plain("the library is there. where it stands: reclass status         go on:        reclass scan ~/Music")
    plain("all commands:         reclass --help")


def main(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its exit code; a traceback never reaches the user."""
    limit_threads()
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    logging.lastResort = _Problems(logging.WARNING)
    sys.exit(run(arguments))


class _Problems(logging.Handler):
    """What libraries log, which may hold the name or a tag of a file, as lines that a terminal may get."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line on stderr."""
        complain(printable(self.format(record)))


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """A warning of a library, which may hold the name or a tag of a file."""
    complain(f"{category.__name__}: {message}")


def run(arguments: list[str] | None = None) -> int:
    """The exit code of one command: 0 fine, 1 some tracks failed, 2 usage, 3 nothing to do, 4 database, 5 a server
    refused, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        words = _with_values(sys.argv[1:] if arguments is None else arguments)
        result: Any = cli.main(args=words, prog_name="reclass", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        complain("Interrupted.")
        return 130
    except click.ClickException as error:
        error.show(SafeStream(sys.stderr))  # type: ignore[arg-type]
        return error.exit_code
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except ReclassError as error:
        complain(printable(f"reclass: {error}"))
        return error.exit_code
    except TrackError as error:
        complain(printable(f"reclass: {error}"))
        return 1
    except BrokenPipeError:
        # The reader (head, less) has left: nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a closed terminal
        place = f": {error.filename}" if error.filename else ""
        complain(printable(f"reclass: {error.strerror or error}{place}."))
        return 1
    except Exception as error:  # the last boundary: a bug is ours, its traceback goes to a file
        return report_bug(error)


def _with_values(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--wait` as `--wait=inf` where no number follows: click would take the path behind for one."""
    found, end = list(arguments), len(arguments)
    if "--" in found:
        end = found.index("--")
    for place in range(end):
        following = found[place + 1] if place + 1 < end else ""
        if found[place] == "--wait" and not following.replace(".", "", 1).isdecimal():
            found[place] = f"--wait={ENDLESS}"
    return found


def report_bug(error: Exception) -> int:
    """Keep the traceback of a bug in a file and say where it is; the exit code."""
    if os.environ.get("RECLASS_DEBUG"):
        raise error
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="reclass-bug-", suffix=".txt", delete=False) as file:
        file.write(f"reclass {__version__}, Python {sys.version}\n")
        traceback.print_exception(error, file=file)
    bug = f"reclass: This is a bug in reclass ({type(error).__name__}: {error}); please report {file.name}."
    complain(printable(bug))
    return 70
