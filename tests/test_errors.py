"""Errors carry what the command line needs."""

import pickle

from music_reclass.errors import DatabaseError, FailTrack, NothingToDo, ReclassError, ServerError, SkipTrack, UsageError


def test_each_kind_of_error_has_its_exit_code() -> None:
    kinds = (ReclassError, UsageError, NothingToDo, DatabaseError, ServerError)
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 4, 5]


def test_track_errors_cross_process_borders_whole() -> None:
    for error in (FailTrack("decode", "bad frame"), SkipTrack("silence")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.reason, copy.detail) == (type(error), error.reason, error.detail)
    assert str(FailTrack("decode", "bad frame")) == "decode: bad frame"
