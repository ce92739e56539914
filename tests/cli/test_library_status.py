"""What `reclass status` says of the tracks nobody is sure of."""

import pytest

from music_reclass.domain import Decision, Outcome, Vote
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from tests.features.test_decisions import add
from tests.library import Shell


@pytest.mark.parametrize("last", ["musicnn", "embedding"])
def test_the_guess_of_an_unsure_track_is_the_last_stages(shell: Shell, last: str) -> None:
    database = Database(shell.db)
    track, decisions = add(database, "/a"), Decisions(database)
    votes = (Vote("fma518", {"Rock": 0.6, "Jazz": 0.4}), Vote(last, {"Rock": 0.45, "Jazz": 0.55}))
    bundles = {vote.stage: decisions.register_bundle(vote.stage, vote.stage, {}) for vote in votes}
    decisions.save({track: Decision(Outcome.UNSURE, "doubt", votes=votes)}, bundles, "basis")
    database.close()

    assert shell("status", "--unsure", "--json") == 0
    assert [line["detail"] for line in shell.objects()] == ["Jazz 0.55"]


def test_the_status_says_in_plain_words_what_is_decided_and_what_is_not(shell: Shell) -> None:
    database = Database(shell.db)
    decisions = Decisions(database)
    one, two = add(database, "/a"), add(database, "/b")
    decisions.save(
        {one: Decision(Outcome.LIKELY, "likely", ("Rock",), 0.7), two: Decision(Outcome.UNSURE, "doubt")}, {}, "basis"
    )
    database.close()

    assert shell("status") == 0
    assert "     1 recognised\n" in shell.out
    assert "     1 not sure enough  -> left alone; see them: reclass status --unsure\n" in shell.out
