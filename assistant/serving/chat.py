"""Chat answers: level, commentary and what to fix first, then questions about a clip, by the model.

The first answer about a further clip ends with its comparison with the earlier one.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from assistant.answer import check_label_first
from assistant.chat import SHOWN, ClipTalk, Filling, Motion, Show, against, knows_dialogues
from assistant.chat import SeenClip as TalkClip
from assistant.coach_result import Judged, told_record
from assistant.compare import compare_measurements
from assistant.engine.base import GenerationOptions, Piece, Prompt
from assistant.evidence import ExpertQuantity
from assistant.medical import REFERRAL, is_medical
from assistant.serving.clips import SeenClip
from assistant.serving.conversation import Conversation
from assistant.serving.errors import ApiError
from assistant.serving.looking import NamedClip
from assistant.serving.schema import ChatRequest, ClipSaid
from assistant.tasks.commentary import (
    commentary_prompt,
    label_continuations,
    label_prompt,
    level_probabilities,
)
from prompts.parse import format_label
from prompts.vocabulary import LEVELS

if TYPE_CHECKING:
    from assistant.coach import Coach
    from assistant.model.processing_poise import PoiseProcessor

_MOTIONS: Final[Mapping[Motion, str]] = {
    motion: f"[{motion} of this clip: POST /v1/coach]" for motion in SHOWN.values()
}
# A token stands for more letters than this only in very dull texts.
_CHARACTERS_A_TOKEN: Final = 16


class EngineLine(Protocol):
    """What answering needs of an engine behind its line."""

    def stream(self, prompt: Prompt, options: GenerationOptions) -> AsyncGenerator[Piece, None]: ...

    async def score(self, prompt: Prompt, continuations: Sequence[Any]) -> np.ndarray: ...


@dataclass(frozen=True)
class ChatAnswer:
    """An answer about to be written.

    Attributes:
        said: which clip it is about.
        prompt_tokens: of the prompt, a forced label included.
        most_tokens: that the model may write, after which it is cut; what it did not write itself
            is not counted.
        pieces: the text, the last piece marked; closing it gives the engine's slot free.
    """

    said: ClipSaid
    prompt_tokens: int
    most_tokens: int
    pieces: AsyncGenerator[Piece, None]


class ChatAnswerer:
    """Writes answers with the engine behind `line`; the coach's parts are shared, not changed."""

    def __init__(self, coach: "Coach", processor: "PoiseProcessor", line: EngineLine) -> None:
        check_label_first(coach.config)
        self._coach = coach
        self._processor = processor
        self._line = line
        self._context: int = coach.config.text_config.max_position_embeddings
        self._taught = knows_dialogues(coach.engine)

    async def answer(
        self,
        clip: NamedClip,
        earlier: NamedClip | None,
        talk: Conversation,
        request: ChatRequest,
        adapter: str | None,
    ) -> ChatAnswer:
        """Prepare the answer to the last turn of a conversation.

        Args:
            clip: what it is about.
            earlier: another clip of the same activity before it.

        Raises:
            ApiError: the conversation is longer than the model's context.
        """
        seen, item = clip.seen, clip.seen.perceived
        level = await self._level(seen, item, adapter) if isinstance(item, Judged) else None
        said = ClipSaid(
            sha256=seen.sha256,
            judged=level is not None,
            activity=item.assessment.activity,
            level=level,
            earlier_sha256=None if earlier is None else earlier.seen.sha256,
        )
        if talk.question is not None and is_medical(talk.question):
            return self._fixed(said, REFERRAL)
        if not isinstance(item, Judged) or level is None:
            return self._fixed(said, self._coach.abstain_reason)
        options = _options(request)
        compared = self._compared(item, earlier)
        if talk.question is None:
            answer = await self._first(seen, item, level, said, options, adapter)
        else:
            about = await self._talk(clip, earlier, adapter)
            history = [
                (asked, _as_written(about, seen, adapter, text, compared))
                for asked, text in talk.history
                if text != REFERRAL
            ]
            self._check_length([*(text for turn in history for text in turn), talk.question])
            prompt = self._with_adapter(about.prompt(talk.question, history), adapter)
            tokens, options = await self._fitted(prompt, options)
            pieces = _filled(about, seen, adapter, self._line.stream(prompt, options))
            answer = ChatAnswer(said, tokens, options.max_new_tokens, pieces)
        if not (compared and talk.fresh):
            return answer

        async def comparison(text: str, _: int) -> str:
            """Nothing where what was measured stands in the text."""
            measured = compared.rpartition("Measured: ")[2]
            return "" if measured in text else f"\n{compared}" if text else compared

        return replace(answer, pieces=_ended(answer.pieces, comparison))

    def _compared(self, item: Judged, earlier: NamedClip | None) -> str:
        """The measured changes since the earlier clip; "" where there are none."""
        before = None if earlier is None else earlier.seen.perceived
        if earlier is None or not isinstance(before, Judged):
            return ""
        activity = item.assessment.activity
        changes = compare_measurements(
            activity, before.measurements, item.measurements, self._experts(activity)
        )
        return against(earlier.name, changes)

    def _experts(self, activity: str) -> Mapping[str, ExpertQuantity]:
        return self._coach.experts.table.get(activity, {})

    def _fixed(self, said: ClipSaid, text: str) -> ChatAnswer:
        """An answer that no model writes."""
        return ChatAnswer(said, 0, 1, _whole(Piece(0, text, 0, ended=True)))

    async def _talk(
        self, clip: NamedClip, earlier: NamedClip | None, adapter: str | None
    ) -> ClipTalk:
        """The chat about a clip beside an earlier one, as `ChatSession.talk`."""
        known = await self._known(clip, adapter)
        return ClipTalk(
            known,
            None if earlier is None else await self._known(earlier, adapter),
            self._experts(known.activity),
            fused_video=self._coach.fused_video,
            taught=self._taught,
        )

    async def _known(self, clip: NamedClip, adapter: str | None) -> TalkClip:
        """What the chat knows of a judged clip: its commentary and the evidence of its remarks."""
        seen, item, name = clip.seen, clip.seen.perceived, adapter or ""
        assert isinstance(item, Judged)
        if name not in seen.known:
            levels = await self._levels(seen, item, adapter)
            level = LEVELS[int(levels.argmax())]
            written, _ = await self._commentary(seen, item, level, adapter)
            text = format_label(level) + written
            seen.known[name] = await self._told(seen, item, text, levels, adapter)
        return replace(seen.known[name], name=clip.name)

    async def _told(
        self, seen: SeenClip, item: Judged, text: str, levels: np.ndarray, adapter: str | None
    ) -> TalkClip:
        """A clip with what was generated about it; its name is that of the first request."""
        known = seen.known.get(adapter or "")
        if known is not None and known.commentary == text:
            return known
        record = await asyncio.to_thread(told_record, item, text, levels, self._coach.experts)
        return TalkClip(item.given.clip_id, item.inputs, text, record)

    async def _first(
        self,
        seen: SeenClip,
        item: Judged,
        level: str,
        said: ClipSaid,
        options: GenerationOptions,
        adapter: str | None,
    ) -> ChatAnswer:
        """Level, commentary and what to fix first; written once a clip where they are greedy."""
        prompt = self._commentary_prompt(item, level, adapter)
        tokens, options = await self._fitted(prompt, options)
        name = adapter or ""
        known = seen.first_answers.get(name)
        if options.temperature == 0 and known is not None and known[1] < options.max_new_tokens:
            pieces = _whole(Piece(0, known[0], known[1], ended=True))
        else:
            pieces = self._line.stream(prompt, options)
            if options.temperature == 0:
                pieces = _kept(pieces, seen, name, options.max_new_tokens)
        pieces = _after(format_label(level), pieces)
        levels, most = await self._levels(seen, item, adapter), options.max_new_tokens

        async def fix_first(text: str, written: int) -> str:
            """Nothing after an answer that was cut."""
            if written >= most:
                return ""
            told = await self._told(seen, item, text, levels, adapter)
            if options.temperature == 0:
                seen.known[name] = told
            return told.concluded().removeprefix(text)

        return ChatAnswer(said, tokens, most, _ended(pieces, fix_first))

    async def _commentary(
        self, seen: SeenClip, item: Judged, level: str, adapter: str | None
    ) -> tuple[str, int]:
        """The greedy commentary after the label, written now if it was not before."""
        name = adapter or ""
        async with seen.turn:
            if name not in seen.first_answers:
                prompt = self._commentary_prompt(item, level, adapter)
                options = GenerationOptions()
                async with aclosing(self._line.stream(prompt, options)) as pieces:
                    written = [piece async for piece in pieces]
                text = "".join(piece.text for piece in written)
                seen.first_answers[name] = (text, written[-1].tokens)
            return seen.first_answers[name]

    async def _level(self, seen: SeenClip, item: Judged, adapter: str | None) -> str:
        return LEVELS[int((await self._levels(seen, item, adapter)).argmax())]

    async def _levels(self, seen: SeenClip, item: Judged, adapter: str | None) -> np.ndarray:
        """[4] probabilities of the levels as the coaching finds them, scored once a clip."""
        name = adapter or ""
        if name not in seen.levels:
            prompt = label_prompt(item.inputs, fused_video=self._coach.fused_video)
            sums = await self._line.score(
                self._with_adapter(prompt, adapter), label_continuations()
            )
            seen.levels[name] = level_probabilities(sums, self._coach.config.label_temperature)
        return seen.levels[name]

    def _commentary_prompt(self, item: Judged, level: str, adapter: str | None) -> Prompt:
        prompt = commentary_prompt(item.inputs, level, fused_video=self._coach.fused_video)
        return self._with_adapter(prompt, adapter)

    def _with_adapter(self, prompt: Prompt, adapter: str | None) -> Prompt:
        return replace(prompt, adapter=adapter)

    def _check_length(self, texts: Sequence[str]) -> None:
        """Refuse before tokenising what cannot fit."""
        if sum(map(len, texts)) > _CHARACTERS_A_TOKEN * self._context:
            raise self._too_long("far more")

    async def _fitted(
        self, prompt: Prompt, options: GenerationOptions
    ) -> tuple[int, GenerationOptions]:
        """Tokens of a prompt, and options that leave the answer inside the context."""
        ids = await asyncio.to_thread(
            self._processor.encode, prompt.messages, answer_start=prompt.answer_start
        )
        room = self._context - len(ids)
        if room < 1:
            raise self._too_long(f"{len(ids)} tokens")
        return len(ids), replace(options, max_new_tokens=min(options.max_new_tokens, room))

    def _too_long(self, got: str) -> ApiError:
        return ApiError(
            400,
            f"the conversation is too long for the model: {got}, at most {self._context}; begin a "
            "new one with the same clip",
            "context_length_exceeded",
            param="messages",
        )


def _options(request: ChatRequest) -> GenerationOptions:
    given = GenerationOptions()
    most = request.max_completion_tokens
    if most is None:
        most = request.max_tokens
    return GenerationOptions(
        max_new_tokens=given.max_new_tokens if most is None else most,
        temperature=given.temperature if request.temperature is None else request.temperature,
        seed=given.seed if request.seed is None else request.seed,
    )


async def _filled(
    talk: ClipTalk, seen: SeenClip, adapter: str | None, pieces: AsyncGenerator[Piece, None]
) -> AsyncGenerator[Piece, None]:
    """The same pieces, calls filled in and motions named with where to get them."""
    filling, shown = Filling(talk), ""
    async with aclosing(pieces):
        async for piece in pieces:
            text = ""
            for event in filling.add(piece.text):
                if isinstance(event, Show):
                    apart = "" if (shown + text)[-1:].isspace() or not shown + text else " "
                    text += apart + _MOTIONS[event.motion]
                else:
                    text += event
            shown += text
            if piece.ended:
                seen.remember(adapter or "", shown, filling.raw)
            yield replace(piece, text=text)


def _as_written(
    talk: ClipTalk, seen: SeenClip, adapter: str | None, text: str, compared: str
) -> str:
    """An answer that comes back as history, as the model wrote it: its calls, no comparison.

    What this server does not remember (it was started anew, or the answer was left half-way) is
    told from the text.
    """
    if compared:
        text = text.removesuffix(compared).rstrip()
    raw = seen.written.get((adapter or "", text))
    return talk.unfilled(text, _MOTIONS) if raw is None else raw


async def _whole(piece: Piece) -> AsyncGenerator[Piece, None]:
    """An answer that is there already."""
    yield piece


async def _after(label: str, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The forced label as the first piece, then what is written after it."""
    async with aclosing(pieces):
        yield Piece(0, label, 0)
        async for piece in pieces:
            yield piece


async def _ended(
    pieces: AsyncGenerator[Piece, None], ending: Callable[[str, int], Awaitable[str]]
) -> AsyncGenerator[Piece, None]:
    """The same pieces, the last one with an ending made of the whole text and its tokens."""
    text = ""
    async with aclosing(pieces):
        async for piece in pieces:
            text += piece.text
            if piece.ended:
                piece = replace(piece, text=piece.text + await ending(text, piece.tokens))
            yield piece


async def _kept(
    pieces: AsyncGenerator[Piece, None], seen: SeenClip, name: str, most: int
) -> AsyncGenerator[Piece, None]:
    """The same pieces; what was written to its end is kept with the clip."""
    text = ""
    async with aclosing(pieces):
        async for piece in pieces:
            text += piece.text
            if piece.ended and piece.tokens < most:
                seen.first_answers[name] = (text, piece.tokens)
            yield piece
