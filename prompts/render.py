"""The only renderer: from the pieces of a clip to chat messages.

Training, evaluation, chat and serving all build their messages here; the tokenizer's chat template
(`templates/chat_template.jinja`) turns them into ids and the mask of supervised tokens.

Four tasks, all with the same first user turn, so that its computation can be shared:
    commentary  F_t   system, prompt -> label and commentary
    correction  F_g   ... commentary -> per frame the learner's codes (given), corrected codes
    retrieval   F_r   ... commentary, the learner's codes -> codes of a demonstration
    chat              ... commentary, earlier clip, question -> answer
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import jinja2

from prompts.hashing import TEMPLATE_FOLDER
from prompts.vocabulary import (
    CALLS,
    POSE,
    POSE_END,
    POSE_FRAME_END,
    POSE_SEQUENCE_END,
    POSE_START,
    STAGE1,
    STAGE1_END,
    STAGE1_START,
    VIDEO,
    VIDEO_END,
    VIDEO_START,
    pose_code,
)

TASKS: Final = ("commentary", "correction", "retrieval", "chat")

# Codes of a window: one sequence of codebook indices a frame.
Codes = Sequence[Sequence[int]]
Message = dict[str, Any]

ZERO_WIDTH_SPACE: Final = "\u200b"
_CALL: Final = re.compile(f"({'|'.join(map(re.escape, CALLS))})")


def escape_user_text(text: str) -> str:
    """Break every `<|` by a zero-width space, so that no special token can be typed.

    All special tokens of Poise begin with `<|`. The result looks the same; doing it twice changes
    nothing more.
    """
    return text.replace("<|", f"<{ZERO_WIDTH_SPACE}|")


def escape_answer(text: str) -> str:
    """As `escape_user_text`, the calls of a chat answer kept."""
    parts = _CALL.split(text)  # texts and calls by turns
    return "".join(part if i % 2 else escape_user_text(part) for i, part in enumerate(parts))


def render_pose_codes(codes: Codes, *, end: bool = True) -> str:
    """`<|pose_3|><|pose_7|>...<|pose_frame_end|>...<|pose_sequence_end|>`, frame by frame.

    Args:
        codes: [frames, tokens a frame] codebook indices.
        end: whether the end of the sequence is written after the last frame.
    """
    frames = ["".join(pose_code(int(code)) for code in frame) for frame in codes]
    text = "".join(frame + POSE_FRAME_END for frame in frames)
    return text + POSE_SEQUENCE_END if end else text


def render_guided_codes(guide: Codes, written: Codes) -> str:
    """Frame by frame the guide's codes and the written ones, each with its frame end.

    A frame that is to be corrected so stands right before its correction: a small language model
    learns to look one frame back far sooner than ten (docs/decisions.md).
    """
    if len(guide) != len(written):
        raise ValueError(f"guide of {len(guide)} frames; expected: {len(written)}, as many")
    pairs = [frame for pair in zip(guide, written, strict=True) for frame in pair]
    return render_pose_codes(pairs)


def codes_token_count(frames: int, tokens_per_frame: int, *, end: bool = True) -> int:
    """Tokens of `render_pose_codes`: every frame has its end token, the sequence one more."""
    return frames * (tokens_per_frame + 1) + int(end)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE_FOLDER),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # plain text for a language model, not HTML
    )


def render_template(name: str, **values: object) -> str:
    """The template file `name`.jinja with its values filled in; a missing value is an error."""
    return _environment().get_template(f"{name}.jinja").render(**values)


def chat_template() -> str:
    """The Jinja chat template that is stored with the tokenizer."""
    return (TEMPLATE_FOLDER / "chat_template.jinja").read_text(encoding="utf-8")


def _span(start: str, token: str, end: str, count: int) -> str:
    return start + token * count + end if count else ""


def _prompt(
    *,
    frames: int,
    n_video: int,
    n_pose: int,
    n_stage1: int,
    score: str,
    regions: str,
    demonstration: Codes | None,
    pose_text: str,
) -> str:
    counts = {"frames": frames, "n_video": n_video, "n_pose": n_pose, "n_stage1": n_stage1}
    faults = [f"{name} {count}" for name, count in counts.items() if count < 0]
    if n_video and not frames:
        faults.append(f"frames 0 with n_video {n_video}")
    if n_pose and pose_text:
        faults.append(f"n_pose {n_pose} beside the pose as text")
    if faults:
        raise ValueError(
            f"cannot render the prompt; got: {', '.join(faults)}; expected: numbers of 0 or above, "
            "at least one frame where there is a video, the pose in one form"
        )
    return render_template(
        "commentary",
        frames=frames,
        video=_span(VIDEO_START, VIDEO, VIDEO_END, n_video),
        pose=_span(POSE_START, POSE, POSE_END, n_pose) or pose_text,
        score=score,
        regions=regions,
        stage1=_span(STAGE1_START, STAGE1, STAGE1_END, n_stage1),
        demonstration="" if demonstration is None else render_pose_codes(demonstration),
    )


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _given(content: str) -> Message:
    """An assistant turn that is part of the prompt, already escaped: not supervised."""
    return {"role": "assistant", "content": content, "supervised": False}


def _follow_up(
    task: str,
    question: str | None,
    history: Sequence[tuple[str, str]],
    earlier: str | None,
    learner_codes: Codes | None,
) -> list[Message]:
    """The turns between the commentary and the answer."""
    if task == "commentary":
        return []
    if task == "correction":
        return [_user(render_template("correction"))]
    if task == "retrieval":
        learner = "" if learner_codes is None else render_pose_codes(learner_codes)
        return [_user(render_template("retrieval", learner=learner))]
    if question is None:
        raise ValueError("task chat; got: no question; expected: question=TEXT")
    turns: list[Message] = [] if earlier is None else [_user(escape_user_text(earlier))]
    for asked, answered in history:
        turns += [
            _user(render_template("chat", question=escape_user_text(asked))),
            _given(escape_answer(answered)),
        ]
    return [*turns, _user(render_template("chat", question=escape_user_text(question)))]


def _answer(task: str, target: str | Codes, guide: Codes | None) -> str:
    """The last assistant turn of a training conversation."""
    if isinstance(target, str):
        return escape_answer(target) if task == "chat" else escape_user_text(target)
    return render_pose_codes(target) if guide is None else render_guided_codes(guide, target)


def render_messages(
    task: str,
    *,
    frames: int = 0,
    n_video: int = 0,
    n_pose: int = 0,
    n_stage1: int = 0,
    score: str = "",
    regions: str = "",
    demonstration: Codes | None = None,
    pose_text: str = "",
    commentary: str | None = None,
    question: str | None = None,
    history: Sequence[tuple[str, str]] = (),
    earlier: str | None = None,
    learner_codes: Codes | None = None,
    target: str | Codes | None = None,
) -> list[Message]:
    """Chat messages of one task for one clip.

    Args:
        task: one of `TASKS`.
        frames: video frames, named in the prompt's first sentence.
        n_video, n_pose, n_stage1: embedding rows spliced in, each as one placeholder token; 0
            leaves the sentence out.
        score, regions: how the numbers are given (`prompts.numbers.render_numbers`); empty leaves
            the sentence out.
        demonstration: codes of an expert demonstration in the prompt (F_t), or None.
        pose_text: the pose as text instead of its rows (`prompts.pose_text`).
        commentary: the assistant's first turn, label and commentary, for the tasks that follow it;
            None leaves that turn out. For "commentary" it must be None (use `target`).
        question: the user's question ("chat").
        history: earlier questions with their answers ("chat").
        earlier: what is told of an earlier clip ("chat", `prompts.earlier`).
        learner_codes: [frames, tokens a frame] of the window. For "correction" with a target each
            frame stands, given, before its correction; without a target the engine gives them. For
            "retrieval" they stand in the question, so that all candidates share them.
        target: the last assistant turn, for training: text, or codes for "correction" and
            "retrieval". None for a prompt to be continued.

    Returns:
        Messages of `role` and `content`; turns that are given rather than asked for carry
        `"supervised": False`, which the chat template reads.

    Raises:
        ValueError: an unknown task, or pieces that do not fit it.
    """
    if task not in TASKS:
        raise ValueError(f"unknown task; got: {task!r}; expected: {', '.join(TASKS)}")
    if task == "commentary" and commentary is not None:
        raise ValueError("task commentary; got: commentary=...; expected: target=TEXT")
    prompt = _prompt(
        frames=frames,
        n_video=n_video,
        n_pose=n_pose,
        n_stage1=n_stage1,
        score=score,
        regions=regions,
        demonstration=demonstration,
        pose_text=pose_text,
    )
    messages: list[Message] = [
        {"role": "system", "content": render_template("system")},
        _user(prompt),
    ]
    if commentary is not None:
        messages.append(_given(escape_user_text(commentary)))
    messages += _follow_up(task, question, history, earlier, learner_codes)
    if target is not None:
        guide = learner_codes if task == "correction" else None
        messages.append({"role": "assistant", "content": _answer(task, target, guide)})
    return messages
