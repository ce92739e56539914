"""The one wall around the tag library: whatever it raises becomes a failure of one track."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from music_reclass.errors import FailTrack, ReclassError, TrackError
from music_reclass.utils.payload.reading import Malformed, file_failure


@contextmanager
def tag_wall(path: Path) -> Iterator[None]:
    """Turns every exception of the block into a TrackError that names the file."""
    import mutagen

    try:
        yield
    except (TrackError, ReclassError):
        raise
    except (mutagen.MutagenError, Malformed) as error:
        why = str(error) or type(error).__name__
        raise FailTrack("tags", f"the tags of {path.name} cannot be read ({why}).") from error
    except OSError as error:
        raise file_failure(error, path) from error
    except Exception as error:  # IndexError, ValueError, struct.error, AttributeError ...: seen on damaged files
        raise FailTrack(
            "bug", f"the tag library stumbled over {path.name} ({type(error).__name__}: {error})."
        ) from error
