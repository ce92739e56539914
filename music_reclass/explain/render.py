"""An explanation as text for a person who knows music."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from music_reclass.classification.policy import REASONS
from music_reclass.classification.styles import USER_TAGS
from music_reclass.domain import Outcome
from music_reclass.explain.attribution import GLOSSES, NETWORK
from music_reclass.explain.explanation import ALBUM_EXIT, ASKED, LAST, NOT_EXTRACTED, stage_agreement

if TYPE_CHECKING:
    from music_reclass.classification.voter import Stage
    from music_reclass.domain import Decision, TrackTags, Vote
    from music_reclass.explain.attribution import Attribution
    from music_reclass.explain.explanation import Explanation, Step
    from music_reclass.features.user_decisions import UserDecision
    from music_reclass.models.early_exit import ExitRule

TOP = 3
MOST_TAGS = 4
MOST_STYLES = 3
Line = tuple[str, str]  # label, text

STAGE_NAMES = {
    "fma518": "518 measurements of the sound",
    "efficientat": "a network trained on all kinds of sounds, AudioSet's",
    "musicnn": "a network trained on instruments, genres and moods",
    "mert": "a network trained on music alone",
    "jmla": "a network trained on music and words about it",
}
_WRITES = {
    "fill": "the file has no genre",
    "junk": "the tag there says nothing",
    "agree": "the genre that is there agrees",
    "refine": "a wider genre is there",
    "conflict": "another genre is there",
    "merge": "beside what is there",
}


def render(explanation: Explanation) -> Iterator[Line]:
    """The lines of the explanation: a label, empty where a line continues the one above, and the text."""
    track = explanation.track
    length = "" if track.duration is None else f"  {int(track.duration) // 60}:{int(track.duration) % 60:02}"
    notes = f"  ({', '.join(track.warnings)})" if track.warnings else ""
    yield "file", track.path + length + notes
    yield "tag", _tag(track.tags)
    if track.error is not None:
        yield track.outcome.value if track.outcome else "failed", str(track.error)
        return
    if track.decision is None:
        return
    stages = {stage.name: stage for stage in explanation.cascade.stages}
    names = list(stages)
    for step in explanation.steps:
        yield f"{names.index(step.vote.stage) + 1} {step.vote.stage}", _bars(step.vote) + _stage_name(step.vote.stage)
        if explanation.windows > 1 and set(stages[step.vote.stage].kinds) <= set(explanation.cascade.first_read):
            yield "", f"the mean of its votes on {explanation.windows} excerpts of the track"
        for text in _after(explanation, step):
            yield "", text
    for stage, why in explanation.cascade.absent.items():
        yield "", f"{stage} was not asked: {why.partition(', or, with')[0].rstrip('.')}"
    if text := stage_agreement(explanation.votes):
        yield "together", text
    if explanation.album_vote is not None:
        yield "album", _bars(explanation.album_vote)
        yield "", f"the {explanation.album_tracks} tracks of the album together"
    if explanation.tag_vote is not None:
        yield "your tags", _bars(explanation.tag_vote)
        yield "", "tags on the artist's other albums and on the rest of this album; multiplied with the votes, once"
    for vote in explanation.extra_votes:
        yield f"({vote.stage})", _bars(vote)
        cost = _in_brackets(_cost(explanation, vote.stage))
        yield "", f"asked only because of --all-stages; it does not count{cost}"
    yield from _attribution(explanation)
    yield from _evidence(explanation)
    yield from _styles(explanation)
    yield from _decision(explanation, track.decision)


def _after(explanation: Explanation, step: Step) -> Iterator[str]:
    """Why the next stage was asked or not, and what that costs and brings."""
    following, threshold = step.following, step.threshold
    certified = step.exit_rule is None or step.exit_rule.policy == "certified"
    below = f"there is no {'certified ' if certified else ''}threshold to stop at"
    if step.exit_rule is not None and threshold is None:
        below += f" ({step.exit_rule.why.removeprefix('not certified: ')})"
    elif threshold is not None:
        digits = _digits_apart(step.vote.confidence, threshold)
        now, needed = _percent(step.vote.confidence, digits), _percent(threshold, digits)
        below = f"{now} is less than the {needed} needed to stop here"
        if step.vote.confidence >= threshold:
            below = f"{' and '.join(name for name, _ in step.vote.top(2))} are nearly equally likely"
    if step.after == ASKED:
        yield f"{below}, so {following} was asked{_in_brackets(_cost(explanation, following), _gain(step))}"
    elif step.after == NOT_EXTRACTED:
        why = explanation.failures.get(following)
        missing = (
            f"failed: {why}" if why else "has no features of it yet (the next scan extracts them, or --all-stages)"
        )
        yield f"{below}, but {following} {missing}{_in_brackets(_usual_cost(explanation, following), _gain(step))}"
    elif step.exit_rule is not None and threshold is not None and step.after != LAST:
        enough = _percent(threshold)
        if step.after == ALBUM_EXIT:
            yield f"the album as a whole reaches {enough}, so {following} was not needed"
        else:
            yield f"{_percent(step.vote.confidence)} is enough: from {enough} on, {following} is not needed"
        yield _certificate(step.exit_rule, step.from_library)
        if costs := _in_brackets(_usual_cost(explanation, following), _gain(step)):
            yield f"asking {following} as well{costs}"


def _certificate(rule: ExitRule, from_library: bool) -> str:
    """What is guaranteed about stopping early, in one sentence."""
    if rule.policy != "certified":
        return f"by the exit policy {rule.policy}: {rule.why} (not certified)"
    most, certainty = _share(rule.epsilon), _share(1 - rule.delta)
    what = f"at most {most} of all tracks lose their right genre by stopping there"
    if not rule.labels:
        what = f"at most {most} of all tracks get another genre by stopping there"
    return f"{what} (certified {'on your library, ' if from_library else ''}with {certainty} certainty)"


def _gain(step: Step) -> str:
    if step.gain is None:
        return ""
    if step.gain < 0.005:
        return "not expected to help with such tracks"
    return f"expected to correct {step.gain * 100:.0f} of 100 such tracks"


def _cost(explanation: Explanation, stage: str) -> str:
    """What asking a stage took now, or takes a track in the last scans."""
    if stage in explanation.seconds:
        return f"took {explanation.seconds[stage]:.1f} s"
    return _usual_cost(explanation, stage)


def _usual_cost(explanation: Explanation, stage: str) -> str:
    seconds = explanation.usual_seconds.get(stage)
    return "" if seconds is None else f"takes {seconds:.1f} s a track in your scans"


def _in_brackets(*parts: str) -> str:
    text = ", ".join(part for part in parts if part)
    return f" ({text})" if text else ""


def _attribution(explanation: Explanation) -> Iterator[Line]:
    found = explanation.attribution
    if found is not None:
        yield "why", found.sentence()
        yield from (("", text) for text in _contributions(found))
    elif explanation.steps:
        yield "why", "unknown: this model does not keep the typical values to compare with"


def _contributions(found: Attribution) -> Iterator[str]:
    """One line for each feature group that matters: the probability with this group alone at its baseline."""
    marked = [one for one in found.groups if one.mark]
    digits = 1 if not 0.05 <= found.probability <= 0.95 else 0  # near the ends none would hide what changes
    if marked:
        now = f"{found.genre} has {_percent(found.probability, digits)}"
        yield f"{now}. If one of these were as in typical music, it would have:"
    width = max((len(one.group) for one in marked), default=0)
    for one in marked:
        note = GLOSSES.get(one.group, "")
        if one.depends:
            note += ("; " if note else "") + "alone it would point the other way"
        yield f"  {one.group:<{width}}  {_percent(one.without, digits):>{5 + digits}}  {one.mark:<3}  {note}".rstrip()
    quiet = [one.group for one in found.groups if not one.mark]
    if marked and quiet:
        hardly = "matter" if len(quiet) > 1 or quiet[0].endswith(NETWORK) else "matters"
        yield f"  hardly {hardly}: {', '.join(quiet)}"
    if found.tags is not None and found.tags.mark:
        names = ", ".join(f"{tag} {strength:.2f}" for tag, strength in found.strongest) or "hardly there"
        now = _percent(found.tags.without, digits)
        side = "for" if found.tags.change > 0 else "against"
        yield f"the tags that name {found.genre} ({names}) speak {side} it: as in typical music, it would have {now}"


def _evidence(explanation: Explanation) -> Iterator[Line]:
    """The tags that stand out, a line each; `+` where they support the genre that came first."""
    shown = explanation.evidence[:MOST_TAGS]
    if not shown:
        return
    counted = explanation.attribution is not None and explanation.attribution.tags is not None
    role = "" if counted else ", shown for comparison"
    yield "tags", f"recognized in the sound{role}: strength (typical), + if it fits, genres it supports"
    width = max(len(item.name) for item in shown)
    genre = explanation.votes[-1].genre if explanation.votes else ""
    if explanation.attribution is not None:
        genre = explanation.attribution.genre
    for item in shown:
        typical = "" if item.typical is None else f" ({item.typical:.2f})"
        fits = "+" if genre and item.supports(genre, explanation.cascade.taxonomy) else " "
        yield "", f"  {item.name:<{width}}  {item.strength:.2f}{typical}  {fits}  {', '.join(item.genres)}"


def _styles(explanation: Explanation) -> Iterator[Line]:
    """The strongest styles below the genre, a line each: strength, and what the library's tags say of it."""
    label = "finer"
    for style in explanation.styles[:MOST_STYLES]:
        certified = f"at least {_percent(style.precision)} of such tracks are right ({style.artists} artists of yours)"
        name = explanation.cascade.taxonomy.display(style.genre)
        source = "your tags on the artist's other albums" if style.kind == USER_TAGS.name else style.kind
        yield label, f"{name} {style.strength:.2f} by {source}: {certified if style.certified else style.why}"
        label = ""


def _decision(explanation: Explanation, decision: Decision) -> Iterator[Line]:
    """The decision, the thresholds behind it, and what would be written."""
    reason = REASONS.get(decision.reason, decision.reason)
    if decision.outcome is Outcome.UNSURE:
        best = f" ({_percent(decision.confidence)} at best)" if decision.votes else ""
        yield "decision", f"unsure{best}: {reason}"
    elif decision.outcome is Outcome.SKIPPED:
        yield "decision", f"none, {reason}: {explanation.track.content} ({_percent(decision.confidence)})"
    else:
        named = ", ".join(decision.genres)
        yield "decision", f"{named} {_percent(decision.confidence)}, {decision.outcome.value}: {reason}"
    if explanation.votes:
        stage = next(one for one in explanation.cascade.stages if one.name == explanation.votes[-1].stage)
        yield from (("", text) for text in _thresholds(stage))
    if explanation.cascade.prior is not None:
        yield "prior", f"how frequent genres are here: {explanation.cascade.prior.sentence()}"
    if explanation.user is not None:
        yield "you", _said(explanation.user)
    if explanation.proposal is not None:
        reason = explanation.proposal.reason
        if explanation.proposal.writes:
            yield "so", f"write {explanation.proposal.shown} ({_WRITES.get(reason, reason)})"
        else:
            yield "so", f"leave the tag alone ({REASONS.get(reason, reason)})"


def _said(user: UserDecision) -> str:
    """What the user decided, where, and for what."""
    where = "in the tag of the file" if user.source == "tag" else f"with {user.source}"
    for_what = "" if user.scope == "track" else f" for the {user.scope}"
    said = f"chose {', '.join(user.genres)}, which holds" if user.genres else "said to leave these tags alone"
    return f"{said} ({where}{for_what})"


def _thresholds(stage: Stage) -> Iterator[str]:
    """From which probability on the stage decides, and what is guaranteed about it."""
    limits, certificates = stage.thresholds, stage.manifest.get("certificates", {})
    if not math.isfinite(limits.likely):
        yield "never decided: no threshold of this stage is certified"
        return
    yield f"likely from {_percent(limits.likely)}{_guarantee(certificates.get('likely'))}"
    if math.isfinite(limits.confident):
        yield f"confident from {_percent(limits.confident)}{_guarantee(certificates.get('confident'))}"
    elif math.isfinite(limits.keeps):
        yield f"never confident: what it says from {_percent(limits.keeps)} on is not certified"


def _guarantee(certificate: Mapping[str, Any] | None) -> str:
    """What a bundle says of a threshold."""
    if not certificate:
        return ""
    if not certificate.get("certified"):
        return " (a cautious value; not certified)"
    right, certain = _share(certificate["precision"]), _share(1 - certificate["delta"])
    return f": at least {right} of such decisions are right (certified with {certain} certainty)"


def caption(explanation: Explanation) -> str:
    """The decision in a few words."""
    decision = explanation.track.decision
    if decision is not None and decision.outcome is Outcome.SKIPPED:
        return f"no music: {explanation.track.content} {_percent(decision.confidence)}"
    if decision is None or decision.outcome is Outcome.UNSURE:
        guess = explanation.votes[-1] if explanation.votes else None
        return "unsure" if guess is None else f"unsure: {guess.genre} {_percent(guess.confidence)} at best"
    first = explanation.cascade.stages[0].name
    by = "" if decision.stage == first else f" (by {decision.stage})"
    return f"{', '.join(decision.genres)} {_percent(decision.confidence)}, {decision.outcome.value}{by}"


def title(explanation: Explanation) -> str:
    """The name of the file as a picture can show it, not too long."""
    name = os.path.basename(explanation.track.path).encode("utf-8", "backslashreplace").decode()
    name = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)
    return name if len(name) <= 80 else f"{name[:79]}…"


def levels(explanation: Explanation) -> tuple[tuple[float, str], ...]:
    """The thresholds of the first stage that lie within [0, 1], with words."""
    limits = explanation.cascade.stages[0].thresholds
    upper = (limits.confident, f"confident from {_percent(limits.confident)}")
    if math.isfinite(limits.exit):
        upper = (limits.exit, f"enough from {_percent(limits.exit)}")
    both = ((limits.likely, f"likely from {_percent(limits.likely)}"), upper)
    return tuple(level for level in both if level[0] <= 1.0)


def _bars(vote: Vote) -> str:
    """The first genre, and the next ones that have 1 % at least."""
    shown = [(genre, p) for place, (genre, p) in enumerate(vote.top(TOP)) if place == 0 or p >= 0.005]
    return "  ".join(f"{genre} {_bar(p)} {_percent(p)}" for genre, p in shown)


def _bar(probability: float) -> str:
    return "█" * max(1, round(probability * 10)) if probability >= 0.05 else "▏"


def _stage_name(stage: str) -> str:
    return f"   ({STAGE_NAMES[stage]})" if stage in STAGE_NAMES else ""


def _digits_apart(confidence: float, threshold: float) -> int:
    """How many decimals of the percentages show which of two different probabilities is the higher one."""
    return next((d for d in range(4) if _percent(confidence, d) != _percent(threshold, d)), 4)


def _percent(probability: float, digits: int = 0) -> str:
    """`71 %`; never 100 % for what is less than certain."""
    text = f"{100 * probability:.{digits}f}"
    return "over 99 %" if float(text) == 100 and probability < 1 and not digits else f"{text} %"


def _share(share: float) -> str:
    """A share that a certificate names, e.g. `2 %`, `0.5 %`."""
    return f"{100 * share:.3g} %"


def _tag(tags: TrackTags) -> str:
    genres = "no genre" if tags.genres is None else ", ".join(tags.genres) or "an empty genre"
    who = " - ".join(part for part in (tags.album_artist or tags.artist, tags.album, tags.title) if part)
    return f"{genres}" + (f"   ({who})" if who else "")
