"""A chat about one or several clips, kept on disk: `poise chat`, and later the web page.

    session = ChatSession.begin(coach, ChatStore(path))
    session.add_clip(CoachInput("monday", pose))
    for event in session.ask("What should I fix first?"): ...

Questions are about the newest clip; the one before it of the same activity is what "last time"
means. What answers is the language model, but for two things: medical questions (`medical.py`) and
clips that are not judged. It streams; an exchange is kept once it is whole.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from assistant.answer import check_label_first
from assistant.chat import ClipTalk, Event, Filling, Motion, SeenClip, Show, knows_dialogues
from assistant.chat_store import ChatStore, Exchange, StoredClip
from assistant.clip import PoseSequence
from assistant.coach_result import CoachInput, Judged
from assistant.engine.base import GenerationOptions, Prompt
from assistant.errors import PoiseError
from assistant.medical import REFERRAL, is_medical
from assistant.perceive import perceive
from assistant.timing import Timings

if TYPE_CHECKING:
    from assistant.coach import Coach

MODEL: Final = "model"
RULE: Final = "rule"
CLIP: Final = "clip"


def look_at(
    coach: "Coach", clip: CoachInput, *, activity: str | None = None, seed: int = 0
) -> tuple[dict[str, Any], SeenClip | None, dict[str, PoseSequence]]:
    """A clip's feedback record, what the chat knows of it (None if it is not judged), and its
    motions: learner, demonstration, correction."""
    timings = Timings()
    with timings("perception"):
        (item,) = perceive(coach.perception, [clip], activity=activity)
    (result,) = coach.answer([item], timings=timings, seed=seed)
    record = result.feedback.to_json()
    if not isinstance(item, Judged) or result.text is None:
        return record, None, {}
    shown = {
        "learner": result.learner,
        "demonstration": result.demonstration,
        "correction": result.correction,
    }
    motions = {kind: pose for kind, pose in shown.items() if pose is not None}
    return record, SeenClip(clip.clip_id, item.inputs, result.text, record), motions


class ChatSession:
    """One chat; `begin` and `resume` make it."""

    def __init__(self, coach: "Coach", store: ChatStore, session_id: str) -> None:
        check_label_first(coach.config)
        self.coach = coach
        self.store = store
        self.session_id = session_id
        self.clips: list[StoredClip] = store.clips(session_id)
        self.exchanges: list[Exchange] = store.exchanges(session_id)

    @classmethod
    def begin(cls, coach: "Coach", store: ChatStore) -> "ChatSession":
        """A new, empty session."""
        return cls(coach, store, store.begin(coach.identity["model_sha256"]))

    @classmethod
    def resume(cls, coach: "Coach", store: ChatStore, session_id: str) -> "ChatSession":
        """A stored session with its clips and messages.

        Raises:
            PoiseError: no such session, or one of another model, whose features this one cannot
                read.
        """
        model, own = store.model_of(session_id), coach.identity["model_sha256"]
        if model != own:
            raise PoiseError(
                f"chat {session_id} was begun with another model",
                got=model[:12],
                expected=own[:12],
                remedy="name its checkpoint with --model, or begin a new chat with the clip",
            )
        return cls(coach, store, session_id)

    @property
    def knows_dialogues(self) -> bool:
        """Whether the model was trained on dialogues: then its vocabulary has the calls."""
        return knows_dialogues(self.coach.engine)

    def add_clip(self, clip: CoachInput, *, activity: str | None = None, seed: int = 0) -> str:
        """Look at a clip and keep it; the first answer about it.

        Raises:
            PoiseError: an activity that the model does not know.
        """
        record, seen, motions = look_at(self.coach, clip, activity=activity, seed=seed)
        stored = self.store.add_clip(self.session_id, clip.clip_id, record, seen, motions)
        self.clips.append(stored)
        self.__dict__.pop("talk", None)
        return self.opening()

    def opening(self) -> str:
        """The first answer about the newest clip."""
        clip = self._newest()
        if clip.seen is None:
            reason: str = clip.feedback["abstain_reason"]
            return reason
        return "\n".join(filter(None, (clip.seen.opening(), self.talk.against())))

    @cached_property
    def talk(self) -> ClipTalk:
        """The newest clip beside the last one of its activity before it."""
        seen = self._newest().seen
        assert seen is not None
        alike = [
            clip.seen
            for clip in self.clips[:-1]
            if clip.seen is not None and clip.seen.activity == seen.activity
        ]
        return ClipTalk(
            seen,
            alike[-1] if alike else None,
            self.coach.experts.table.get(seen.activity),
            fused_video=self.coach.fused_video,
            taught=self.knows_dialogues,
        )

    def ask(self, question: str, options: GenerationOptions | None = None) -> Iterator[Event]:
        """The answer as it is written; it is kept once it is whole.

        Raises:
            PoiseError: no clip yet, or an empty question.
        """
        clip = self._newest()
        if not question.strip():
            raise PoiseError("nothing was asked", got="an empty question")
        if is_medical(question):
            yield from self._fixed(clip, question, REFERRAL, RULE)
        elif clip.seen is None:
            yield from self._fixed(clip, question, clip.feedback["abstain_reason"], CLIP)
        else:
            yield from self._answer(clip, question, options or GenerationOptions())

    def _fixed(self, clip: StoredClip, question: str, text: str, origin: str) -> Iterator[Event]:
        yield text
        self._keep(Exchange(clip.place, question, text, text, origin))

    def _answer(
        self, clip: StoredClip, question: str, options: GenerationOptions
    ) -> Iterator[Event]:
        filling, prompt = Filling(self.talk), self.talk.prompt(question, self.history())
        for piece in self.coach.engine.stream(prompt, self._fitted(prompt, options)):
            yield from filling.add(piece)
        shown = tuple(filling.shown)
        self._keep(Exchange(clip.place, question, filling.raw, filling.text, MODEL, shown))

    def _fitted(self, prompt: Prompt, options: GenerationOptions) -> GenerationOptions:
        """Options that leave the answer inside the model's context.

        Raises:
            PoiseError: the question is too long.
        """
        processor: Any = getattr(self.coach.engine, "processor", None)
        if processor is None:
            return options
        most = self.coach.config.text_config.max_position_embeddings
        used = len(processor.encode(prompt.messages))
        if used >= most:
            raise PoiseError(
                "the conversation is too long for the model",
                got=f"{used} tokens",
                expected=f"fewer than {most}",
                remedy="ask a shorter question, or begin a new chat with the clip",
            )
        return replace(options, max_new_tokens=min(options.max_new_tokens, most - used))

    def history(self) -> list[tuple[str, str]]:
        """What the model reads of what was asked about the newest clip and answered by itself."""
        place = self._newest().place
        told = [e for e in self.exchanges if e.place == place and e.origin == MODEL]
        return [(e.question, e.raw) for e in told]

    def motion(self, kind: Motion) -> PoseSequence | None:
        """Demonstration or correction of the newest clip."""
        return self.store.motion(self.session_id, self._newest().place, kind)

    def show(self, kind: Motion) -> Iterator[Event]:
        """Show a motion without asking the model."""
        if self.motion(kind) is None:
            yield f"There is no {kind} of this clip."
        else:
            yield Show(kind)

    def _keep(self, exchange: Exchange) -> None:
        self.store.add(self.session_id, exchange)
        self.exchanges.append(exchange)

    def _newest(self) -> StoredClip:
        if not self.clips:
            raise PoiseError(
                "there is no clip in this chat yet",
                expected="a clip to talk about",
                remedy="poise chat CLIP, or /clip FILE inside the chat",
            )
        return self.clips[-1]
