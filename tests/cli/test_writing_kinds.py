"""Files whose genre Plex did not find before: `apply` writes it where Plex looks, and `undo` brings every byte back."""

from __future__ import annotations

import pytest

from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.readers import ffmpeg_genre
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell, digests
from tests.tagging.samples import SUFFIX_OF_KIND

KINDS = [kind for kind in SUFFIX_OF_KIND if kind.startswith(("mp3 ape", "mp3 gain", "aac no", "aac quick", "aac frag"))]


@pytest.mark.parametrize("profile", ["plex", "native", "joined"])
def test_what_is_applied_is_seen_by_plex_and_undone_to_the_byte(
    profile: str, library: DecidedLibrary, shell: Shell
) -> None:
    paths = library.add(*(Tune(f"{kind}{SUFFIX_OF_KIND[kind]}", kind=kind) for kind in KINDS))
    assert len(paths) == 13
    before = digests(library.folder)
    assert shell("apply", "--profile", profile, "--on-existing", "replace-conflict", "--yes") == 0
    assert {path.name: ffmpeg_genre(path) for path in paths} == {path.name: "Rock" for path in paths}
    assert all(read_tags(path).genres == ("Rock",) for path in paths)
    assert shell("undo", "--yes") == 0
    assert digests(library.folder) == before


def test_a_file_that_is_not_written_to_is_left_with_what_to_do_and_is_no_failure(
    library: DecidedLibrary, shell: Shell
) -> None:
    (path,) = library.add(Tune("tune.m4a", kind="aac no list"))
    keyed = path.read_bytes().replace(b"mdirappl", b"mdtaappl")  # QuickTime's metadata by keys
    path.write_bytes(keyed)
    database, status = Database(shell.db), path.stat()
    Library(database).refresh(str(path), status.st_size, status.st_mtime_ns, None)
    database.close()
    assert shell("apply", "--yes") == 0
    assert "Not written: 1 file" in shell.out
    assert "the genre of tune.m4a cannot be written: it keeps its tags in another form than iTunes' list" in shell.out
    assert "copy it with ffmpeg -i OLD -map 0 -c copy NEW.m4a, and scan the copy." in shell.out
    assert path.read_bytes() == keyed
