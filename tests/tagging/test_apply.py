"""The plan: counted, never held, and written one file after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from music_reclass.containers.sniff import payload_digest
from music_reclass.domain import Decision, FeatureKind, OnExisting, Outcome, Relation, Track, TrackTags, Vote
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.journal import Journal
from music_reclass.features.library import Library
from music_reclass.tagging.apply import WritePlan, as_json, track_writer
from music_reclass.tagging.commit import WriteOptions
from music_reclass.tagging.policy import Proposal
from music_reclass.taxonomy import load
from tests.tagging.samples import sample, without_id3

TAXONOMY = load()


def track(name: str, before: tuple[str, ...] | None, genres: tuple[str, ...] = ("Rock",)) -> Track:
    votes = (Vote("fma518", {"Rock": 0.9, "Jazz": 0.1}),)
    outcome = Outcome.LIKELY if genres else Outcome.UNSURE
    decision = Decision(outcome, "likely" if genres else "unsure", genres, 0.9, "fma518", votes)
    return Track(f"/m/{name}", 1, 1, duration=60.0, tags=TrackTags(genres=before), decision=decision, id=1)


TRACKS = [
    track("empty", None), track("junk", ("Other",)), track("finer", ("Shoegaze",)), track("other", ("Jazz",)),
    track("unsure", None, ()),
    Track("/m/silent", 1, 1, error=SkipTrack("silence", "no sound"), id=9),
]  # fmt: skip


def plan(
    policy: OnExisting = OnExisting.REPLACE_JUNK, profile: str = "native", tracks: Sequence[Track] = TRACKS
) -> WritePlan:
    return WritePlan(lambda: iter(tracks), TAXONOMY, policy, profile)


def test_the_tally_counts_outcomes_relations_and_writes() -> None:
    tally = plan().tally()
    assert (tally.tracks, tally.writes, tally.failed) == (6, 2, 0)
    assert tally.outcomes == {"confident": 0, "likely": 4, "unsure": 1, "skipped": 1, "failed": 0}
    assert tally.relations == {"fill": 1, "junk": 1, "agree": 1, "conflict": 1}
    assert tally.reasons == {"skipped: silence": 1}
    assert [state.path for state, _ in tally.examples] == ["/m/empty", "/m/junk"]


def test_what_is_written_is_what_was_planned_and_every_track_is_emitted() -> None:
    written: list[tuple[str, tuple[str, ...]]] = []
    emitted: list[tuple[str, bool]] = []
    tally = plan().write(
        lambda state, genres, style: written.append((state.path, tuple(genres))),
        lambda: False,
        lambda state, proposal, done, problem: emitted.append((state.path, done)),
    )
    assert written == [("/m/empty", ("Rock",)), ("/m/junk", ("Rock",))]
    assert (tally.written, len(emitted)) == (2, 6)


def test_a_refused_file_costs_one_file_and_a_kind_we_cannot_write_is_no_failure() -> None:
    def refuse(state: Track, genres: Sequence[str], style: str) -> None:
        raise FailTrack("unsupported" if "junk" in state.path else "permission", "no")

    tally = plan().write(refuse, lambda: False, lambda *_: None)
    assert [path for path, _ in tally.write_failures] == ["/m/empty"]
    assert [path for path, _ in tally.left] == ["/m/junk"]


def test_a_stop_ends_the_writing_and_not_the_output() -> None:
    emitted: list[str] = []
    tally = plan().write(lambda *_: pytest.fail("written"), lambda: True, lambda state, *_: emitted.append(state.path))
    assert (tally.written, len(emitted)) == (0, 6)


def test_a_profile_lays_genres_out_and_what_is_laid_out_already_is_kept() -> None:
    both = [track("a", ("Other",), ("Rock", "Jazz")), track("b", ("Rock; Jazz",), ("Rock", "Jazz"))]
    proposals = [proposal for _, proposal in plan(OnExisting.REPLACE, "joined", both)]
    assert [proposal.genres for proposal in proposals if proposal] == [("Rock; Jazz",), ()]


def test_the_states_are_asked_for_anew_at_each_pass() -> None:
    asked = []

    def states() -> Iterator[Track]:
        asked.append(1)
        return iter(TRACKS)

    plan = WritePlan(states, TAXONOMY, OnExisting.KEEP)
    plan.tally()
    plan.tally()
    assert len(asked) == 2


def test_json_of_a_decided_a_skipped_and_an_unreached_track_differs() -> None:
    proposal = Proposal("write", "fill", ("Rock",), Relation.FILL)
    item = as_json(TRACKS[0], proposal, True)
    assert {key: item[key] for key in ("outcome", "genres", "relation", "action", "written", "before")} == {
        "outcome": "likely", "genres": ["Rock"], "relation": "fill", "action": "write", "written": True, "before": None,
    }  # fmt: skip
    skipped = as_json(TRACKS[-1], None, False)
    assert (skipped["outcome"], skipped["reason"], skipped["detail"]) == ("skipped", "silence", "no sound")
    unreached = Track("/m/x", 1, 1, id=1)
    assert as_json(unreached, None, False)["outcome"] is None


def test_a_file_scanned_by_a_version_that_digested_it_otherwise_is_known_as_written_by_us(
    journal: Journal, tmp_path: Path
) -> None:
    path = tmp_path / "tune.mp3"
    path.write_bytes(bytes(2000) + without_id3(sample("mp3")))  # its payload counted as of no container once
    status = path.stat()
    library, kind = Library(journal.database), FeatureKind("fma518", "1", 3, "mid30")
    vector = np.ones(3, np.float32)
    scanned = Track(str(path), status.st_size, status.st_mtime_ns, digest=b"of an older version", vector=vector)
    (number,) = library.save([scanned], kind)
    run = journal.begin_run("apply", {})
    track_writer(journal, library, run, WriteOptions())(scanned, ("Rock",), "")
    assert library.user_genres([number]) == {}
    assert library.paths_of_audio(payload_digest(path)) == [str(path)]
    assert library.vectors([number], kind)[number].tolist() == [1, 1, 1]
