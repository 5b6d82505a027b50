"""Labelled comments from simulated drills: what poise-mini learns the labelling task from.

The spoken comment of a drill and its summary speak of the same regions, so the summary's remarks
are the spoken comment's label: exactly what was said, unlike the `regions` of the record, which may
hold merits that nobody mentioned.

    messages = [conversation(sample) for sample in read_samples(folder)]   # for training
"""

from collections.abc import Mapping, Sequence
from typing import Any

from data_prep.commentary.labels import NOTHING
from prompts.labelling import MAX_WORDS, ParsedLabel, render_mini_request
from prompts.parse import ParsedRemark, parse_feedback
from prompts.render import Message
from prompts.vocabulary import POLARITIES


def remarks_label(remarks: Sequence[ParsedRemark]) -> ParsedLabel:
    """The label that says what these remarks say: the first sentence of each, made into one."""
    regions = dict(NOTHING)
    for remark in remarks:
        regions[remark.region] = POLARITIES.index(remark.polarity)
    sentences = [remark.text.split(". ")[0].rstrip(".") for remark in remarks]
    text = "; ".join(s if i == 0 else s[:1].lower() + s[1:] for i, s in enumerate(sentences))
    return ParsedLabel(_shortened(text) or "Nothing is said about the movement.", regions)


def _shortened(text: str) -> str:
    """As many whole clauses as fit, with a full stop."""
    while len(text.split()) > MAX_WORDS and "; " in text:
        text = text.rpartition("; ")[0]
    return f"{' '.join(text.split()[:MAX_WORDS])}." if text else ""


def composed_label(sample: Mapping[str, Any]) -> ParsedLabel | None:
    """The label of a drill's spoken comment; None where its summary is no feedback of ours."""
    if not sample["summary"]:
        return None
    parsed = parse_feedback(sample["summary"])
    if parsed.level is None or parsed.problems:
        return None
    return remarks_label(parsed.remarks)


def conversation(sample: Mapping[str, Any]) -> list[Message] | None:
    """The training conversation of a drill, None where there is no comment or no label."""
    label = composed_label(sample)
    if label is None or not sample["commentary_raw"]:
        return None
    return render_mini_request(sample["commentary_raw"], sample["activity"], label)
