"""Errors carry what the command line needs."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import music_reclass
from music_reclass import errors
from music_reclass.errors import DatabaseError, FailTrack, NothingToDo, ReclassError, ServerError, SkipTrack, UsageError


def test_each_kind_of_error_has_its_exit_code() -> None:
    kinds = (ReclassError, UsageError, NothingToDo, DatabaseError, ServerError)
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 4, 5]


def test_track_errors_cross_process_borders_whole() -> None:
    for error in (FailTrack("decode", "bad frame"), SkipTrack("silence")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.reason, copy.detail) == (type(error), error.reason, error.detail)
    assert str(FailTrack("decode", "bad frame")) == "decode: bad frame"


def _texts() -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Where each error for users is made, and the first and the last piece of its text."""
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ReclassError)}
    for path in Path(music_reclass.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds and node.args:
                text = node.args[0]
                pieces = text.values if isinstance(text, ast.JoinedStr) else [text]
                yield f"{path.name}:{node.lineno}", pieces[0], pieces[-1]


def test_every_error_is_a_sentence_with_a_capital_letter_and_a_full_stop() -> None:
    small = [place for place, first, _ in _texts() if isinstance(first, ast.Constant) and str(first.value)[0].islower()]
    open_ended = [
        place
        for place, _, last in _texts()
        if isinstance(last, ast.Constant) and not str(last.value).rstrip().endswith((".", "?", ")", "FILE"))
    ]
    assert (small, open_ended) == ([], [])
