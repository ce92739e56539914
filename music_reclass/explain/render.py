"""An explanation as text for a person who knows music."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from music_reclass.classification.policy import REASONS
from music_reclass.domain import Outcome
from music_reclass.explain.attribution import GLOSSES, Attribution, described
from music_reclass.explain.explanation import ALBUM, ASKED, NOT_EXTRACTED, SETTLED, stage_agreement

if TYPE_CHECKING:
    from music_reclass.classification.voter import Stage
    from music_reclass.domain import Decision, TrackTags, Vote
    from music_reclass.explain.explanation import Explanation, Step

TOP = 3
MOST_TAGS = 4
Line = tuple[str, str]  # label, text

EXTRACTOR_NAMES = {
    "fma518": "measures the sound",
    "musicnn": "finds instruments, genres and moods",
    "mert": "a network that learned from music alone",
    "jmla": "a network that learned from music and words about it",
}
_WRITES = {
    "fill": "the file has no genre",
    "junk": "what is there says nothing",
    "agree": "the genre that is there agrees",
    "refine": "a wider genre is there",
    "conflict": "another genre is there",
    "merge": "beside what is there",
}


def render(explanation: Explanation) -> Iterator[Line]:
    """The lines of the explanation: a label, empty for what goes on, and the text."""
    state, decision = explanation.state, explanation.state.decision
    length = "" if state.duration is None else f"  {int(state.duration) // 60}:{int(state.duration) % 60:02}"
    notes = f"  ({', '.join(state.warnings)})" if state.warnings else ""
    yield "file", state.path + length + notes
    yield "tag", _tag(state.tags)
    if state.error is not None:
        yield state.outcome.value if state.outcome else "failed", str(state.error)
        return
    if decision is None:
        return
    names = [stage.name for stage in explanation.cascade.stages]
    for step in explanation.steps:
        yield f"{names.index(step.vote.stage) + 1} {step.vote.stage}", _bars(step.vote) + _how(step.vote.stage)
        for text in _after(explanation, step):
            yield "", text
    yield from _absent(explanation)
    if text := stage_agreement(explanation.votes):
        yield "together", text
    if explanation.album is not None:
        yield "album", _bars(explanation.album)
        yield "", f"the opinion of {explanation.album_tracks} tracks of the album together"
    yield from _beyond(explanation)
    yield from _why(explanation)
    yield from _evidence(explanation)
    yield from _decision(explanation, decision)


def _after(explanation: Explanation, step: Step) -> Iterator[str]:
    """Why the next stage was asked or not, and what that costs and brings."""
    confidence, following, exit_rule = step.vote.confidence, step.following, step.threshold
    short = "nothing certifies that this is ever enough"
    if step.certificate is not None and exit_rule is None:
        short = f"this is never enough ({step.certificate.why.removeprefix('not certified: ')})"
    elif exit_rule is not None:
        digits = next((d for d in (2, 3, 4) if f"{confidence:.{d}f}" != f"{exit_rule:.{d}f}"), 6)
        short = f"{confidence:.{digits}f} is below {exit_rule:.{digits}f}"
    if step.after == ASKED:
        yield f"{short}, so {following} was asked{_reckoned(_took(explanation, following), _gain(step, 'was'))}"
    elif step.after == NOT_EXTRACTED:
        why = explanation.missed.get(following)
        not_yet = (
            f"could not vote: {why}" if why else "has not voted on it yet (the next scan asks it, or --all-stages)"
        )
        yield f"{short}, but {following} {not_yet}{_reckoned(_usual(explanation, following), _gain(step, 'is'))}"
    elif step.after in (SETTLED, ALBUM) and exit_rule is not None:
        if step.after == ALBUM:
            yield f"the album as a whole reaches {exit_rule:.2f}, so {following} was not needed"
        else:
            yield f"{confidence:.2f} is enough: from {exit_rule:.2f} on, {following} is not needed"
        yield _guarantee(step)
        if reckoned := _reckoned(_usual(explanation, following), _gain(step, "is")):
            yield reckoned.removeprefix("; ")


def _guarantee(step: Step) -> str:
    rule = step.certificate
    assert rule is not None
    what = "lose their right genre" if rule.labels else "get another genre"
    where = " on your library" if step.on_library else ""
    return (
        f"certified{where} at {_percent(1 - rule.delta)}: at most {_percent(rule.epsilon)} of all tracks {what} by that"
    )


def _gain(step: Step, verb: str) -> str:
    if step.gain is None:
        return ""
    if step.gain < 0.005:
        return f"it {verb} not expected to help with such tracks"
    return f"it {verb} expected to put right {step.gain * 100:.0f} in 100 such tracks"


def _took(explanation: Explanation, stage: str) -> str:
    return f"it took {explanation.took[stage]:.1f} s" if stage in explanation.took else _usual(explanation, stage)


def _usual(explanation: Explanation, stage: str) -> str:
    return (
        f"asking it takes {explanation.usual[stage]:.1f} s a track in your scans" if stage in explanation.usual else ""
    )


def _reckoned(*parts: str) -> str:
    text = ", ".join(part for part in parts if part)
    return f"; {text}" if text else ""


def _absent(explanation: Explanation) -> Iterator[Line]:
    for stage, why in explanation.cascade.absent.items():
        yield "", f"{stage} was not asked: {why.partition(', or, with')[0].rstrip('.')}"


def _beyond(explanation: Explanation) -> Iterator[Line]:
    for vote in explanation.beyond:
        yield f"({vote.stage})", _bars(vote)
        cost = _took(explanation, vote.stage)
        yield "", "asked only because of --all-stages; it does not count" + (f" ({cost})" if cost else "")


def _why(explanation: Explanation) -> Iterator[Line]:
    found = explanation.attribution
    if found is None:
        if explanation.steps:
            yield "why", "this model keeps no record of typical music, so what spoke for the genre is unknown"
        return
    yield "why", described(found)
    yield from (("", text) for text in _table(found))


def _table(found: Attribution) -> Iterator[str]:
    """One line for each feature group that matters: what the probability would be if it alone were typical."""
    marked = [push for push in found.sides if push.mark]
    digits = 3 if not 0.05 <= found.now <= 0.95 else 2  # near the ends two would hide what changes
    if marked:
        now = f"{found.genre} stands at {found.now:.{digits}f}"
        yield f"{now}. If one group of features alone were as in typical music, it would stand at:"
    width = max((len(push.side) for push in marked), default=0)
    for push in marked:
        note = GLOSSES.get(push.side, "")
        if push.depends:
            note += ("; " if note else "") + "by itself it would speak the other way"
        yield f"  {push.side:<{width}}  {push.without:.{digits}f}  {push.mark:<3}  {note}".rstrip()
    quiet = [push.side for push in found.sides if not push.mark]
    if marked and quiet:
        yield f"  little depends on {', '.join(quiet)}"


def _evidence(explanation: Explanation) -> Iterator[Line]:
    """The tags that stand out, a line each; `+` where they speak for the genre that came first."""
    shown = explanation.evidence[:MOST_TAGS]
    if not shown:
        return
    yield "sounds", "what stands out, how strongly (in typical music), and what it speaks for"
    wide = max(len(one.name) for one in shown)
    genre = (
        explanation.attribution.genre
        if explanation.attribution
        else explanation.votes[-1].genre
        if explanation.votes
        else ""
    )
    for one in shown:
        usual = "" if one.typical is None else f" ({one.typical:.2f})"
        fits = "+" if genre and one.speaks_for(genre, explanation.cascade.taxonomy) else " "
        yield "", f"  {one.name:<{wide}}  {one.strength:.2f}{usual}  {fits}  {', '.join(one.genres)}"


def _decision(explanation: Explanation, decision: Decision) -> Iterator[Line]:
    if decision.outcome is Outcome.UNSURE:
        opinion = f" ({decision.confidence:.2f})" if decision.votes else ""
        yield "decision", f"unsure{opinion}: {REASONS.get(decision.reason, decision.reason)}"
    else:
        named = ", ".join(decision.genres)
        reason = REASONS.get(decision.reason, decision.reason)
        yield "decision", f"{named} {decision.confidence:.2f}, {decision.outcome.value}: {reason}"
    if explanation.votes:
        stage = next(one for one in explanation.cascade.stages if one.name == explanation.votes[-1].stage)
        yield from (("", text) for text in _limits(stage))
    if explanation.proposal is not None:
        reason = explanation.proposal.reason
        if explanation.proposal.writes:
            yield "so", f"write {', '.join(explanation.proposal.genres)} ({_WRITES.get(reason, reason)})"
        else:
            yield "so", f"leave the tag alone ({REASONS.get(reason, reason)})"


def _limits(stage: Stage) -> Iterator[str]:
    """From which probability on the stage decides, and what is certified about it."""
    limits, certified = stage.thresholds, stage.manifest.get("certificates", {})
    if not math.isfinite(limits.likely):
        yield "never decided: no threshold of this stage is certified"
        return
    yield f"likely from {limits.likely:.2f}{_kept(certified.get('likely'))}"
    if math.isfinite(limits.confident):
        yield f"confident from {limits.confident:.2f}{_kept(certified.get('confident'))}"


def _kept(certificate: Mapping[str, Any] | None) -> str:
    """What a bundle says of a threshold."""
    if not certificate:
        return ""
    if not certificate.get("certified"):
        return " (a cautious value; not certified)"
    right, sure = _percent(certificate["precision"]), _percent(1 - certificate["delta"])
    return f": at least {right} of such decisions are right (certified at {sure})"


def caption(explanation: Explanation) -> str:
    """The decision in a few words."""
    decision = explanation.state.decision
    if decision is None or decision.outcome is Outcome.UNSURE:
        guess = explanation.votes[-1] if explanation.votes else None
        return "unsure" if guess is None else f"unsure: {guess.genre} {guess.confidence:.2f} at best"
    first = explanation.cascade.stages[0].name
    by = "" if decision.stage == first else f" (by {decision.stage})"
    return f"{', '.join(decision.genres)} {decision.confidence:.2f}, {decision.outcome.value}{by}"


def title(explanation: Explanation) -> str:
    """The name of the file, not too long for a picture."""
    name = os.path.basename(explanation.state.path)
    return name if len(name) <= 80 else f"{name[:79]}…"


def levels(explanation: Explanation) -> tuple[tuple[float, str], ...]:
    """The thresholds of the first stage that lie within [0, 1], with words."""
    limits = explanation.cascade.stages[0].thresholds
    if math.isfinite(limits.exit):
        upper = (limits.exit, f"enough from {limits.exit:.2f}")
    else:
        upper = (limits.confident, f"confident from {limits.confident:.2f}")
    return tuple(level for level in ((limits.likely, f"likely from {limits.likely:.2f}"), upper) if level[0] <= 1.0)


def _bars(vote: Vote) -> str:
    return "  ".join(f"{genre} {_bar(p)} {p:.2f}" for genre, p in vote.top(TOP))


def _bar(probability: float) -> str:
    return "█" * max(1, round(probability * 10)) if probability >= 0.05 else "▏"


def _how(stage: str) -> str:
    return f"   ({EXTRACTOR_NAMES[stage]})" if stage in EXTRACTOR_NAMES else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _tag(tags: TrackTags) -> str:
    genres = "no genre" if tags.genres is None else ", ".join(tags.genres) or "an empty genre"
    who = " - ".join(part for part in (tags.album_artist or tags.artist, tags.album, tags.title) if part)
    return f"{genres}" + (f"   ({who})" if who else "")
