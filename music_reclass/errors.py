"""Everything a user can mend, as one sentence with the cure and one exit code each."""

from __future__ import annotations


class ReclassError(Exception):
    """A failure the user can mend; `str()` is one sentence, `exit_code` what the process returns."""

    exit_code = 1


class UsageError(ReclassError):
    """The words or the settings are wrong."""

    exit_code = 2


class NothingToDo(ReclassError):
    """A path is missing, or holds nothing that this command could work on."""

    exit_code = 3


class DatabaseError(ReclassError):
    """The library database is locked, newer than this program, or damaged."""

    exit_code = 4


class ServerError(ReclassError):
    """A server (Plex) refused or did not answer."""

    exit_code = 5


class MissingExtra(ReclassError):
    """An optional package is needed that is absent or does not load; the sentence names the cure."""

    exit_code = 2


class DeviceError(ReclassError):
    """A device that networks run on, or its memory, does not do; the sentence says what to do about it."""


class BundleError(ReclassError):
    """A model bundle is damaged, or was trained on other features than those at hand."""

    exit_code = 2


class TrackError(Exception):
    """One track could not be used; `reason` is a stable code, `detail` a sentence for people.

    Raised for a single file and recorded for it; never ends a run.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class SkipTrack(TrackError):
    """There is nothing to analyse. Reasons: `too_short`, `silence`, `no_audio`, `not_audio`."""


class FailTrack(TrackError):
    """Something is wrong with the file or the attempt.

    Reasons: `decode`, `timeout`, `crashed`, `permission`, `vanished`, `changed`, `io`, `no_space`, `tags`,
    `hard_link`, `verify`, `unsupported`, `memory`, `bug`.
    """
