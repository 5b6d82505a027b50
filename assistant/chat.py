"""The chat about a clip without any storage: the same object answers in the terminal and in HTTP.

    talk = ClipTalk(seen, earlier)
    if not is_medical(question):
        prompt = talk.prompt(question, history)          # any engine streams its answer
        for event in Filling(talk).add(piece): ...       # text, or a motion that is to be shown

The language model answers; a call that it writes (`prompts.vocabulary.CALLS`) is filled in here
from the feedback, so that every number beside those of the commentary is a measured one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from assistant.compare import Change, compare_measurements, region_changes
from assistant.engine.base import Prompt
from assistant.evidence import ExpertQuantity
from assistant.feedback import Measurement
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.chat import chat_prompt, split_calls
from assistant.web.wording import measure, percent, quantity_name
from prompts.claims import true_claims
from prompts.earlier import BETTER, SAME, render_earlier
from prompts.parse import remark_first
from prompts.vocabulary import (
    CALLS,
    LEVEL_PROBABILITY,
    MEASURED,
    MEASURED_CHANGE,
    NEEDS_IMPROVEMENT,
    POLARITIES,
    SHOW_CORRECTION,
    SHOW_DEMONSTRATION,
)

Motion = Literal["demonstration", "correction"]
SHOWN: Final[Mapping[str, Motion]] = {
    SHOW_DEMONSTRATION: "demonstration",
    SHOW_CORRECTION: "correction",
}
# Of a comparison this many quantities are told.
MOST_CHANGES: Final = 3
# Of what was asked and answered before, this many exchanges stand in the prompt.
REMEMBERED: Final = 6


@dataclass(frozen=True)
class Show:
    """The model called for a motion."""

    motion: Motion


Event = str | Show


@dataclass(frozen=True)
class SeenClip:
    """What the chat knows of one judged clip.

    Attributes:
        name: what the user calls it.
        inputs: features for the prompt.
        commentary: label and commentary as generated.
        feedback: the record of `poise coach --json`, or its activity, proficiency, remarks, focus
            and measurements.
    """

    name: str
    inputs: ModelInputs
    commentary: str
    feedback: Mapping[str, Any]

    @property
    def activity(self) -> str:
        """Its activity's name."""
        name: str = self.feedback["activity"]["name"]
        return name

    @property
    def level(self) -> str:
        """Its proficiency level."""
        level: str = self.feedback["proficiency"]["level"]
        return level

    def to_improve(self) -> list[str]:
        """Regions that need improvement, the one to fix first first."""
        focus = self.feedback["focus"]
        regions = [
            remark["region"]
            for remark in self.feedback["remarks"]
            if remark["polarity"] == POLARITIES[NEEDS_IMPROVEMENT]
        ]
        first = [] if focus is None else [focus["region"]]
        return [*first, *(region for region in regions if region not in first)]

    def focus_first(self) -> str:
        """The commentary, the remark on the focus first: so it stands in the dialogues learned."""
        focus = self.feedback["focus"]
        return self.commentary if focus is None else remark_first(self.commentary, focus["region"])

    def opening(self) -> str:
        """The first answer: the level, the one thing to fix first, and a drill, in the words of the
        generated commentary; the commentary itself where it has no remarks by body region."""
        if not self.feedback["remarks"]:
            return self.commentary
        return "\n".join([f"Level: {self.level}.", *self._fix_first()])

    def concluded(self) -> str:
        """The whole generated answer, then the one thing to fix first, and what of its drill the
        answer does not say itself."""
        unsaid = (line for line in self._fix_first() if line not in self.commentary)
        return "\n".join([self.commentary, *unsaid])

    def _fix_first(self) -> list[str]:
        focus, remarks = self.feedback["focus"], self.feedback["remarks"]
        if not remarks:  # free words, of which nobody knows what they criticise
            return []
        if focus is None:
            return ["Nothing to fix first.", remarks[0]["text"]]
        first = f"Fix first ({focus['region']}): {remarks[focus['remark']]['text']}"
        return [first, f"Drill: {focus['drill']}"] if focus["drill"] else [first]


class ClipTalk:
    """Questions about a clip, beside an earlier one of the same activity where there is one.

    Args:
        clip: what is asked about.
        earlier: an earlier clip; one of another activity is left out.
        experts: quantities measured on experts of the clip's activity, to compare by.
        taught: whether the model has learned dialogues; one that has not is told nothing of the
            earlier clip, which its prompts never held.
    """

    def __init__(
        self,
        clip: SeenClip,
        earlier: SeenClip | None = None,
        experts: Mapping[str, ExpertQuantity] | None = None,
        *,
        fused_video: bool = False,
        taught: bool = True,
    ) -> None:
        alike = earlier is not None and earlier.activity == clip.activity
        self.clip, self.earlier = clip, earlier if alike else None
        self._experts = experts or {}
        self._fused_video = fused_video
        self._taught = taught

    @cached_property
    def changes(self) -> list[Change]:
        """The quantities measured in both clips, the clearest changes first."""
        if self.earlier is None:
            return []
        before, now = (
            [Measurement(**row) for row in clip.feedback["measurements"]]
            for clip in (self.earlier, self.clip)
        )
        return compare_measurements(self.clip.activity, before, now, self._experts)

    @cached_property
    def told_earlier(self) -> str | None:
        """What the prompt says of the earlier clip."""
        if self.earlier is None or not self._taught:
            return None
        return render_earlier(self.earlier.level, self.earlier.to_improve(), self.verdicts)

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """Region to better, worse or the same, where it was measured in both clips."""
        return region_changes(self.changes)

    @cached_property
    def claims(self) -> dict[str, list[str]]:
        """What an answer may claim of the clip, and of the change since the earlier one."""
        clip, earlier = self.clip, self.earlier if self._taught else None
        if earlier is None:
            return true_claims(clip.level, clip.to_improve())
        return true_claims(clip.level, clip.to_improve(), earlier.level, self.verdicts)

    def prompt(self, question: str, history: Sequence[tuple[str, str]] = ()) -> Prompt:
        """The prompt of a question; `history` holds earlier questions about the clip with the
        model's answers, calls as written, of which the last ones are told."""
        return chat_prompt(
            self.clip.inputs,
            self.clip.focus_first(),
            question,
            history[-REMEMBERED:],
            earlier=self.told_earlier,
            claims=self.claims,
            fused_video=self._fused_video,
        )

    def fill(self, call: str) -> Event:
        """What stands in the place of a call; "" where nothing was measured."""
        if call in SHOWN:
            return Show(SHOWN[call])
        if call == LEVEL_PROBABILITY:
            return self._probability()
        if call == MEASURED_CHANGE:
            return self.changes_text()
        (region,) = (name for name, token in MEASURED.items() if token == call)
        return self._evidence(region)

    def unfilled(self, text: str, motions: Mapping[Motion, str]) -> str:
        """A shown answer with what stands in the place of calls put back to the calls.

        Calls that had nothing to show are lost.

        Args:
            motions: what was written in the place of a motion.
        """
        for call in CALLS:
            event = self.fill(call)
            shown = motions[event.motion] if isinstance(event, Show) else event
            if shown:
                text = text.replace(shown, call)
        return text

    def _probability(self) -> str:
        found = self.clip.feedback["proficiency"]
        return f"The model gives this level {percent(max(found['probabilities']))}."

    def _evidence(self, region: str) -> str:
        shown = next(
            (r["evidence"] for r in self.clip.feedback["remarks"] if r["region"] == region), None
        )
        if shown is None:
            return ""
        mine = measure(shown["value"], shown["unit"], shown["error"])
        experts = measure(shown["expert_mean"], shown["unit"], shown["expert_std"])
        return f"Measured: {quantity_name(shown['quantity'])} {mine}, simulated experts {experts}."

    def changes_text(self) -> str:
        """The clearest changes with their error bars; "" without an earlier clip."""
        return changes_text(self.changes)

    def against(self) -> str:
        """The line that compares the clip with the earlier one; "" without one."""
        return "" if self.earlier is None else against(self.earlier.name, self.changes)


def knows_dialogues(engine: Any) -> bool:
    """Whether an engine's vocabulary has the calls; one without a vocabulary (dummy) takes all."""
    processor = getattr(engine, "processor", None)
    return processor is None or bool(processor.call_ids())


def changes_text(changes: Sequence[Change]) -> str:
    """The first changes with their error bars; "" where there is none."""
    told = [_told(change) for change in changes[:MOST_CHANGES]]
    return f"Measured: {'; '.join(told)}." if told else ""


def against(name: str, changes: Sequence[Change]) -> str:
    """The line that compares a clip with the earlier one called `name`; "" where nothing was
    measured in both."""
    told = changes_text(changes)
    return f"Against {name}: {told}" if told else ""


def _told(change: Change) -> str:
    before = measure(change.before, change.unit, change.before_error)
    now = measure(change.now, change.unit, change.now_error)
    verdict = {SAME: "within the error"}.get(change.verdict, change.verdict)
    if change.verdict == BETTER:
        verdict = "nearer to the experts"
    return f"{quantity_name(change.quantity)} {before} then, {now} now ({verdict})"


class Filling:
    """Fills the calls of an answer while it is written.

    Attributes:
        raw: the answer so far as the model wrote it, calls and all.
        text: the same as shown, motions left out.
        shown: the motions called for.
    """

    def __init__(self, talk: ClipTalk) -> None:
        self._talk = talk
        self._space = ""
        self.raw = self.text = ""
        self.shown: list[Motion] = []

    def add(self, piece: str) -> list[Event]:
        """What the next piece of text (calls are whole in it) gives to show."""
        self.raw += piece
        events: list[Event] = []
        for part, is_call in split_calls(piece):
            event = self._talk.fill(part) if is_call else part
            if isinstance(event, Show):
                self.shown.append(event.motion)
                events.append(event)
            else:
                events += self._spaced(event)
        return events

    def _spaced(self, text: str) -> list[Event]:
        """The text with one space where an empty filling leaves two."""
        if self._space:
            text = self._space + text.lstrip(" ")
        kept = text.rstrip(" ")
        self._space = " " if len(kept) < len(text) else ""
        if not self.text or self.text.endswith(("\n", " ")):
            kept = kept.lstrip(" ")
        self.text += kept
        return [kept] if kept else []
