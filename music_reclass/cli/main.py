"""The command `reclass`: the list of commands, and the wall that turns every failure into one sentence and a code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import click

from music_reclass import __version__
from music_reclass.cli import (
    audit,
    demo,
    doctor,
    explain,
    genres,
    models,
    plex,
    relabel,
    report,
    scan,
    train,
    undo,
)
from music_reclass.cli import (
    eval as evaluating,
)
from music_reclass.cli import (
    exits as audit_exits,
)
from music_reclass.cli import (
    exits as calibrate,
)
from music_reclass.cli import (
    library as listing,
)
from music_reclass.cli import (
    predict as table,
)
from music_reclass.cli.output import complain, printable
from music_reclass.errors import ReclassError, TrackError
from music_reclass.utils.workers import THREAD_VARIABLES

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, "-V", "--version", prog_name="reclass")
@click.pass_context
def cli(context: click.Context) -> None:
    """Listens to a music library, decides each track's genre, tags it, and can take every byte back."""
    if context.invoked_subcommand is None:
        from music_reclass.cli.library import next_step

        next_step()


for command in (
    scan.scan, scan.apply, undo.undo, undo.history, listing.status, explain.explain, listing.export, genres.genres,
    models.models, train.train, table.features, table.predict, evaluating.evaluate, doctor.doctor,
    audit.audit, audit_exits.audit_exits, calibrate.calibrate, report.report, relabel.relabel, demo.demo, plex.plex,
):  # fmt: skip
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its exit code; a traceback never reaches the user."""
    for name in THREAD_VARIABLES:  # small matrices on a busy machine are many times slower with several threads
        os.environ.setdefault(name, "1")
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """The exit code of one command: 0 fine, 1 some tracks failed, 2 usage, 3 nothing to do, 4 database, 5 a server
    refused, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        result: Any = cli.main(args=arguments, prog_name="reclass", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        complain("interrupted.")
        return 130
    except KeyboardInterrupt:
        complain("interrupted.")
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as exit_rule:
        return exit_rule.exit_code
    except ReclassError as error:
        complain(f"reclass: {error}")
        return error.exit_code
    except TrackError as error:
        complain(f"reclass: {error}")
        return 1
    except BrokenPipeError:
        # The reader (head, less) has left: nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a closed terminal
        complain(
            f"reclass: {error.strerror or error}{f': {printable(str(error.filename))}' if error.filename else ''}."
        )
        return 1
    except Exception as error:  # the last wall: a bug is ours, its traceback goes to a file
        return _bug(error)


def _bug(error: Exception) -> int:
    if os.environ.get("RECLASS_DEBUG"):
        raise error
    import tempfile

    with tempfile.NamedTemporaryFile("w", prefix="reclass-bug-", suffix=".txt", delete=False) as file:
        file.write(f"reclass {__version__}, Python {sys.version}\n")
        traceback.print_exception(error, file=file)
    complain(f"reclass: this is a bug in reclass ({type(error).__name__}: {error}); please report {file.name}.")
    return 70
