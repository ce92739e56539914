"""An account in words, for a person who knows music: what was said, why, and what follows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from music_reclass.classification import steps
from music_reclass.classification.ablation import GLOSSES, Weighing, said
from music_reclass.classification.policy import REASONS
from music_reclass.domain import Outcome

if TYPE_CHECKING:
    from music_reclass.classification.stages import Stage
    from music_reclass.classification.steps import Step
    from music_reclass.domain import Decision, TrackTags, Vote
    from music_reclass.tagging.explaining import Account

TOP = 3
MOST_TAGS = 4
Line = tuple[str, str]  # label, text

LISTENERS = {
    "fma518": "measures the sound",
    "musicnn": "listens for instruments, genres and moods",
    "mert": "listens as it learned from music alone",
    "jmla": "listens as it learned from music and words about it",
}
_WRITES = {
    "fill": "the file has no genre",
    "junk": "what is there says nothing",
    "agree": "the genre that is there agrees",
    "refine": "a wider genre is there",
    "conflict": "another genre is there",
    "merge": "beside what is there",
}


def told(account: Account) -> Iterator[Line]:
    """The lines of the account: a label, empty for what goes on, and the text."""
    state, decision = account.state, account.state.decision
    length = "" if state.duration is None else f"  {int(state.duration) // 60}:{int(state.duration) % 60:02}"
    notes = f"  ({', '.join(state.warnings)})" if state.warnings else ""
    yield "file", state.path + length + notes
    yield "tag", _tag(state.tags)
    if state.error is not None:
        yield state.outcome.value if state.outcome else "failed", str(state.error)
        return
    if decision is None:
        return
    names = [stage.name for stage in account.ladder.stages]
    for step in account.steps:
        yield f"{names.index(step.vote.stage) + 1} {step.vote.stage}", _bars(step.vote) + _listener(step.vote.stage)
        for text in _after(account, step):
            yield "", text
    yield from _absent(account)
    if text := steps.agreement(account.votes):
        yield "together", text
    if account.album is not None:
        yield "album", _bars(account.album)
        yield "", f"the opinion of {account.company} tracks of the album together"
    yield from _beyond(account)
    yield from _why(account)
    yield from _heard(account)
    yield from _decision(account, decision)


def _after(account: Account, step: Step) -> Iterator[str]:
    """Why the next stage was asked or not, and what that costs and brings."""
    confidence, following, leave = step.vote.confidence, step.following, step.threshold
    short = "nothing certifies that this is ever enough"
    if step.certificate is not None and leave is None:
        short = f"this is never enough ({step.certificate.why.removeprefix('not certified: ')})"
    elif leave is not None:
        digits = next((d for d in (2, 3, 4) if f"{confidence:.{d}f}" != f"{leave:.{d}f}"), 6)
        short = f"{confidence:.{digits}f} is below {leave:.{digits}f}"
    if step.after == steps.ASKED:
        yield f"{short}, so {following} was asked{_reckoned(_took(account, following), _gain(step, 'was'))}"
    elif step.after == steps.UNHEARD:
        why = account.missed.get(following)
        not_yet = (
            f"could not listen: {why}" if why else "has not listened to it yet (the next scan does, or --all-stages)"
        )
        yield f"{short}, but {following} {not_yet}{_reckoned(_usual(account, following), _gain(step, 'is'))}"
    elif step.after in (steps.SETTLED, steps.ALBUM) and leave is not None:
        if step.after == steps.ALBUM:
            yield f"the album as a whole reaches {leave:.2f}, so {following} was not needed"
        else:
            yield f"{confidence:.2f} is enough: from {leave:.2f} on, {following} is not needed"
        yield _promise(step)
        if reckoned := _reckoned(_usual(account, following), _gain(step, "is")):
            yield reckoned.removeprefix("; ")


def _promise(step: Step) -> str:
    own = step.certificate
    assert own is not None
    what = "lose their right genre" if own.labels else "get another genre"
    where = " on your own library" if step.own else ""
    return (
        f"certified{where} at {_percent(1 - own.delta)}: at most {_percent(own.epsilon)} of all tracks {what} by that"
    )


def _gain(step: Step, verb: str) -> str:
    if step.gain is None:
        return ""
    if step.gain < 0.005:
        return f"it {verb} not expected to help with such tracks"
    return f"it {verb} expected to put right {step.gain * 100:.0f} in 100 such tracks"


def _took(account: Account, stage: str) -> str:
    return f"it took {account.took[stage]:.1f} s" if stage in account.took else _usual(account, stage)


def _usual(account: Account, stage: str) -> str:
    return f"asking it takes {account.usual[stage]:.1f} s a track in your scans" if stage in account.usual else ""


def _reckoned(*parts: str) -> str:
    text = ", ".join(part for part in parts if part)
    return f"; {text}" if text else ""


def _absent(account: Account) -> Iterator[Line]:
    for stage, why in account.ladder.absent.items():
        yield "", f"{stage} was not asked: {why.partition(', or, with')[0].rstrip('.')}"


def _beyond(account: Account) -> Iterator[Line]:
    for vote in account.beyond:
        yield f"({vote.stage})", _bars(vote)
        cost = _took(account, vote.stage)
        yield "", "asked only because of --all-stages; it does not count" + (f" ({cost})" if cost else "")


def _why(account: Account) -> Iterator[Line]:
    found = account.weighing
    if found is None:
        if account.steps:
            yield "why", "this model keeps no record of what is ordinary, so what spoke for the genre cannot be told"
        return
    yield "why", said(found)
    yield from (("", text) for text in _table(found))


def _table(found: Weighing) -> Iterator[str]:
    """One line for each side that matters: what the probability would be if it alone were ordinary."""
    marked = [push for push in found.sides if push.mark]
    digits = 3 if not 0.05 <= found.now <= 0.95 else 2  # near the ends two would hide what changes
    if marked:
        now = f"{found.genre} stands at {found.now:.{digits}f}"
        yield f"{now}. If one side alone were as in ordinary music, it would stand at:"
    width = max((len(push.side) for push in marked), default=0)
    for push in marked:
        note = GLOSSES.get(push.side, "")
        if push.depends:
            note += ("; " if note else "") + "by itself it would speak the other way"
        yield f"  {push.side:<{width}}  {push.without:.{digits}f}  {push.mark:<3}  {note}".rstrip()
    quiet = [push.side for push in found.sides if not push.mark]
    if marked and quiet:
        yield f"  little depends on {', '.join(quiet)}"


def _heard(account: Account) -> Iterator[Line]:
    """The tags that stand out, a line each; `+` where they speak for the genre that came first."""
    shown = account.heard[:MOST_TAGS]
    if not shown:
        return
    yield "heard", "what stands out, how strongly (in ordinary music), and what it speaks for"
    wide = max(len(own.name) for own in shown)
    genre = account.weighing.genre if account.weighing else account.votes[-1].genre if account.votes else ""
    for own in shown:
        usual = "" if own.typical is None else f" ({own.typical:.2f})"
        fits = "+" if genre and own.speaks_for(genre, account.ladder.taxonomy) else " "
        yield "", f"  {own.name:<{wide}}  {own.strength:.2f}{usual}  {fits}  {', '.join(own.genres)}"


def _decision(account: Account, decision: Decision) -> Iterator[Line]:
    if decision.outcome is Outcome.UNSURE:
        opinion = f" ({decision.confidence:.2f})" if decision.votes else ""
        yield "decision", f"unsure{opinion}: {REASONS.get(decision.reason, decision.reason)}"
    else:
        named = ", ".join(decision.genres)
        reason = REASONS.get(decision.reason, decision.reason)
        yield "decision", f"{named} {decision.confidence:.2f}, {decision.outcome.value}: {reason}"
    if account.votes:
        stage = next(own for own in account.ladder.stages if own.name == account.votes[-1].stage)
        yield from (("", text) for text in _limits(stage))
    if account.proposal is not None:
        reason = account.proposal.reason
        if account.proposal.writes:
            yield "so", f"write {', '.join(account.proposal.genres)} ({_WRITES.get(reason, reason)})"
        else:
            yield "so", f"leave the tag alone ({REASONS.get(reason, reason)})"


def _limits(stage: Stage) -> Iterator[str]:
    """From which probability on the stage decides, and what is promised about it."""
    limits, promised = stage.thresholds, stage.manifest.get("certificates", {})
    if not math.isfinite(limits.likely):
        yield "never decided: no threshold of this stage is certified"
        return
    yield f"likely from {limits.likely:.2f}{_kept(promised.get('likely'))}"
    if math.isfinite(limits.confident):
        yield f"confident from {limits.confident:.2f}{_kept(promised.get('confident'))}"


def _kept(certificate: Mapping[str, Any] | None) -> str:
    """What a bundle says of a threshold."""
    if not certificate:
        return ""
    if not certificate.get("certified"):
        return " (a cautious value; not certified)"
    right, sure = _percent(certificate["precision"]), _percent(1 - certificate["delta"])
    return f": at least {right} of such decisions are right (certified at {sure})"


def caption(account: Account) -> str:
    """The decision in a few words."""
    decision = account.state.decision
    if decision is None or decision.outcome is Outcome.UNSURE:
        guess = account.votes[-1] if account.votes else None
        return "unsure" if guess is None else f"unsure: {guess.genre} {guess.confidence:.2f} at best"
    first = account.ladder.stages[0].name
    by = "" if decision.stage == first else f" (by {decision.stage})"
    return f"{', '.join(decision.genres)} {decision.confidence:.2f}, {decision.outcome.value}{by}"


def title(account: Account) -> str:
    """The name of the file, not too long for a picture."""
    name = os.path.basename(account.state.path)
    return name if len(name) <= 80 else f"{name[:79]}…"


def levels(account: Account) -> tuple[tuple[float, str], ...]:
    """The thresholds of the first stage that lie within [0, 1], with words."""
    limits = account.ladder.stages[0].thresholds
    if math.isfinite(limits.exit):
        upper = (limits.exit, f"enough from {limits.exit:.2f}")
    else:
        upper = (limits.confident, f"confident from {limits.confident:.2f}")
    return tuple(own for own in ((limits.likely, f"likely from {limits.likely:.2f}"), upper) if own[0] <= 1.0)


def _bars(vote: Vote) -> str:
    return "  ".join(f"{genre} {_bar(p)} {p:.2f}" for genre, p in vote.top(TOP))


def _bar(probability: float) -> str:
    return "█" * max(1, round(probability * 10)) if probability >= 0.05 else "▏"


def _listener(stage: str) -> str:
    return f"   ({LISTENERS[stage]})" if stage in LISTENERS else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _tag(tags: TrackTags) -> str:
    genres = "no genre" if tags.genres is None else ", ".join(tags.genres) or "an empty genre"
    who = " - ".join(part for part in (tags.album_artist or tags.artist, tags.album, tags.title) if part)
    return f"{genres}" + (f"   ({who})" if who else "")
