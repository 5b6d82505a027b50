"""The model card: prose from a template, every number from the stored results.

poise eval card                     write docs/model_card.md anew
poise eval card --check             fail when it differs from the stored results
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.errors import PoiseError
from assistant.markdown import markdown
from eval import tables
from eval.output import stored

RESULTS = Path("docs/results")
CARD = Path("docs/model_card.md")
TEMPLATE = Path(__file__).parent / "model_card.jinja"
LEVEL_KEYS = ("level_accuracy", "level_majority", "level_mae", "fault_micro_f1")
CORRECTION_KEYS = ("n_corrections", "correction_mm", "copy_learner_mm", "nearest_expert_mm")
RANK_KEYS = (
    *("n_ranked", "retrieval_median_rank", "nearest_neighbour_median_rank"),
    "retrieval_chance_median_rank",
)
PART_KEYS = (*LEVEL_KEYS, *CORRECTION_KEYS, *RANK_KEYS)  # of activities and conditions
# Paired tests that are printed; the stored results have more.
TESTS = (
    *("level_accuracy - coral_accuracy", "correction_mm - copy_learner_mm"),
    *("correction_mm - copy_learner_clean_mm", "correction_mm - nearest_expert_mm"),
    *("correction_mm - mean_expert_mm", "correction_mm - ridge_mm"),
    "correction_mm - estimate_mm",
    "retrieval_reciprocal_rank - nearest_neighbour_reciprocal_rank",
)


def render_card(results: Path = RESULTS) -> str:
    """The card as Markdown.

    Raises:
        PoiseError: a stored result is missing.
    """
    import jinja2

    mini, real = (stored(results / name) for name in ("mini_test.json", "real_poses.json"))
    chat = stored(results / "chat_questions.json")
    training = {"shared_machine": False, "note": ""} | stored(results / "training.json")
    template = jinja2.Template(
        TEMPLATE.read_text("utf-8"), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    text = template.render(
        mini=mini,
        real=real,
        training=training,
        activities=", ".join(name.replace("_", " ") for name in sorted(mini["by_activity"])),
        by_activity=tables.activities_table(mini, PART_KEYS),
        chat=tables.chat_table(chat),
        main_table=tables.mini_test_table(mini),
        conditions=tables.conditions_table(mini, PART_KEYS),
        shuffles=shuffles_table(mini),
        tests=tables.tests_table(mini["tests"], TESTS),
        chat_clips=len({clip for clips in chat["clips"].values() for clip in clips}),
        # Results that were stored before these were measured lack them.
        closed_loop=tables.closed_loop_table(mini) if "closed_loop_n" in mini else None,
        texts=tables.texts_table(mini) if "text_n" in mini else None,
        remarks=tables.remarks_table(mini) if "hallucination_n" in mini else None,
        real_table=tables.real_poses_table(real),
        number=tables.number,
    )
    return text.rstrip() + "\n"


def shuffles_table(result: Mapping[str, Any]) -> str:
    """Levels and faults with parts of the prompt taken from other clips."""
    named = {"nothing, the same clips": result.get("unshuffled_inputs")}
    named["nothing, the filmed clips"] = result["conditions"].get("filmed")
    rows = []
    for name, values in (named | result["shuffled_inputs"]).items():
        cells = [
            tables.number(None if values is None else values[key]) for key in tables.SHUFFLE_KEYS
        ]
        rows.append([name, *cells])
    return markdown(["shuffled between clips", *tables.SHUFFLE_KEYS], rows)


def write_card(*, check: bool, results: Path = RESULTS, card: Path = CARD) -> str:
    """Write the card, or with `check` compare it.

    Raises:
        PoiseError: `check` and the card on disk is another one.
    """
    text = render_card(results)
    if not check:
        card.write_text(text, "utf-8")
    elif not card.is_file() or card.read_text("utf-8") != text:
        raise PoiseError(
            f"{card} differs from the stored results",
            expected=f"what {results} gives",
            remedy="run `poise eval card`",
        )
    return str(card)
