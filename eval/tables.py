"""Tables of results: every number beside its interval, its floors and n."""

from collections.abc import Mapping, Sequence
from typing import Any

from assistant.markdown import markdown

NOT_RUN = "not run"
# What is kept, and printed, of clips answered with shuffled inputs.
SHUFFLE_KEYS = ("n", "level_accuracy", "level_mae", "fault_micro_f1")
NOT_KNOWN = "not known"  # of a single performer nothing can be said about others


def number(value: Any, digits: int = 3) -> str:
    """A value as printed: fixed digits, integers plain, a missing one "not run"."""
    if value is None:
        return NOT_RUN
    if isinstance(value, bool | int | str):
        return str(value)
    return f"{value:.{digits}f}"


def with_interval(
    value: Any,
    interval: Sequence[float | None] | None,
    digits: int = 3,
    bound_digits: int | None = None,
) -> str:
    """`0.812 [0.77, 0.85]`, the interval where there is one, NOT_KNOWN for bounds of None.

    Args:
        bound_digits: of the bounds; None: as of the value.
    """
    if value is None or interval is None:
        return number(value, digits)
    if None in interval:
        return f"{number(value, digits)} [{NOT_KNOWN}]"
    shown = digits if bound_digits is None else bound_digits
    low, high = (number(bound, shown) for bound in interval)
    return f"{number(value, digits)} [{low}, {high}]"


def p_text(p_value: float | None, form: str = ".4f") -> str:
    """A test's p as printed; None where nothing can be said."""
    return NOT_KNOWN if p_value is None else f"{p_value:{form}}"


# (what, key, unit digits, what stands beside it as (name, key))
MINI_TEST_ROWS: Sequence[tuple[str, str, int, Sequence[tuple[str, str]]]] = (
    (
        "level accuracy",
        "level_accuracy",
        3,
        (
            ("CORAL alone", "coral_accuracy"),
            ("trees", "trees_accuracy"),
            ("majority", "level_majority"),
            ("shuffled", "level_accuracy_shuffled"),
            ("oracle", "level_oracle"),
        ),
    ),
    (
        "level MAE",
        "level_mae",
        3,
        (("shuffled", "level_mae_shuffled"), ("trees", "trees_mae")),
    ),
    (
        "faults named, micro-F1",
        "fault_micro_f1",
        3,
        (("trees", "trees_fault_micro_f1"), ("shuffled", "fault_micro_f1_shuffled")),
    ),
    ("schema valid", "schema_valid", 3, ()),
    (
        "known against other motions, AUROC",
        "open_set_auroc",
        3,
        (("others rejected", "distractors_rejected"), ("known judged", "known_judged")),
    ),
    ("judged", "judged_share", 3, ()),
    ("PCT, simulated (mm)", "pct_mm", 1, ()),
    ("PCT, real throws (mm)", "pct_real_mm", 1, ()),
    (
        "correction, per frame (mm)",
        "correction_mm",
        1,
        (
            ("the codes alone", "correction_decoded_mm"),
            ("learner", "copy_learner_mm"),
            ("retrieved expert", "retrieved_expert_mm"),
            ("nearest expert", "nearest_expert_mm"),
            ("mean expert", "mean_expert_mm"),
            ("global expert", "global_expert_mm"),
            ("ridge", "ridge_mm"),
            ("perception's estimate alone", "estimate_mm"),
            ("codec floor", "codec_floor_mm"),
        ),
    ),
    (
        "correction, once a clip (mm)",
        "correction_clip_mm",
        1,
        (
            ("learner", "copy_learner_clip_mm"),
            ("nearest expert", "nearest_expert_clip_mm"),
            ("codec floor", "codec_floor_clip_mm"),
        ),
    ),
    (
        "retrieval, median rank",
        "retrieval_median_rank",
        1,
        (
            ("likelihood alone", "likelihood_median_rank"),
            ("relative likelihood", "relative_likelihood_median_rank"),
            ("nearest neighbour", "nearest_neighbour_median_rank"),
            ("global expert", "global_expert_median_rank"),
            ("chance", "retrieval_chance_median_rank"),
        ),
    ),
    (
        "retrieval, mean reciprocal rank",
        "retrieval_mean_reciprocal_rank",
        3,
        (
            ("likelihood alone", "likelihood_mean_reciprocal_rank"),
            ("nearest to the correction", "nearest_to_correction_mean_reciprocal_rank"),
            ("nearest to the estimate", "nearest_to_estimate_mean_reciprocal_rank"),
            ("nearest neighbour", "nearest_neighbour_mean_reciprocal_rank"),
            ("global expert", "global_expert_mean_reciprocal_rank"),
            ("contrastive", "contrastive_mean_reciprocal_rank"),
        ),
    ),
)


def mini_test_table(result: Mapping[str, Any]) -> str:
    """The result of `poise eval mini-test` as a Markdown table, floors in the last column."""
    intervals = result.get("intervals", {})
    rows = []
    for what, key, digits, beside in MINI_TEST_ROWS:
        value = with_interval(result.get(key), intervals.get(key), digits)
        floors = ", ".join(f"{name} {number(result.get(k), digits)}" for name, k in beside)
        counts = [str(result[n]) for n in _counted_by(key) if n in result]
        rows.append([what, value, floors, " + ".join(counts)])
    return markdown(["measure", "result [95% over performers]", "beside it", "n"], rows)


def _counted_by(key: str) -> tuple[str, ...]:
    """The keys of a measure's n."""
    kinds = {
        "correction": ("n_corrections",),
        "retrieval": ("n_ranked",),
        "pct_real": ("n_real",),
        "open_set": ("n", "n_distractors"),
    }
    return next((n for start, n in kinds.items() if key.startswith(start)), ("n",))


def tests_table(tests: Mapping[str, Any], names: Sequence[str]) -> str:
    """Some of the paired tests of a result; one that was not made is left out."""
    rows = []
    for name in names:
        if name not in tests:
            continue
        test, digits = tests[name], 1 if "_mm" in name else 3
        value = with_interval(test["difference"], (test["low"], test["high"]), digits)
        p = p_text(test["p_value"], ".2g")
        rows.append([name.replace("_", " "), value, p, str(test["n"]), test["test"]])
    return markdown(["difference", "mean [95%]", "p", "n", "test"], rows)


def activities_table(result: Mapping[str, Any], keys: Sequence[str]) -> str:
    """One row an activity of `result["by_activity"]`."""
    rows = [
        [name.replace("_", " "), number(values["n"]), *[number(values.get(key)) for key in keys]]
        for name, values in sorted(result["by_activity"].items())
    ]
    return markdown(["activity", "n", *keys], rows)


def chat_table(result: Mapping[str, Any]) -> str:
    """The result of `poise eval chat-questions`."""
    n, medical, others = result["n_answers"], result["medical_routed"], result["others_routed"]
    claims = result["false_claims"]
    answered = with_interval(result["on_subject"], result["on_subject_interval"])
    rows = [
        ["answered on the asked subject", answered, str(n)],
        ["floor: answers exchanged", number(result["on_subject_exchanged"]), str(n)],
        ["floor: commentary repeated", number(result["on_subject_commentary"]), str(n)],
        *(
            [name.replace("_", " "), number(row["share"]), str(row["n"])]
            for name, row in result["by_subject"].items()
        ),
        [
            "with a number that is not in the feedback",
            f"{number(result['unsupported_numbers'])} (held against the other clip's feedback "
            f"{number(result['unsupported_numbers_other_clip'])})",
            str(n),
        ],
        [
            "of those with a claim about last time or the level, with a false one",
            f"{number(claims['share'])} (held against the other clip "
            f"{number(result['false_claims_other_clip']['share'])})",
            str(claims["n"]),
        ],
        ["two clips, two answers", number(result["differing"]), str(result["n_questions"])],
        ["medical questions referred", number(medical["share"]), str(medical["n"])],
        ["others referred", number(others["share"]), str(others["n"])],
    ]
    return markdown(["questions", "share [95% over questions]", "n"], rows)


# What is put into the correction window, as `eval.closed_loop.MOTIONS` names it.
_PUT_IN: Mapping[str, str] = {
    "correction": "the correction",
    "own_frames": "the learner's own frames through the tokenizer",
    "other_correction": "another learner's correction",
    "twin": "the true fault-free twin",
}


def closed_loop_table(result: Mapping[str, Any]) -> str:
    """How the CORAL score of a clip changes with what is put into its window."""
    n = result["closed_loop_n"]
    rows = []
    for motion, name in _PUT_IN.items():
        keys = (f"closed_loop_{motion}_rise", f"closed_loop_{motion}_risen")
        cells = [with_interval(result.get(k), result.get(f"{k}_interval")) for k in keys]
        rows.append([name, str(n), *cells])
    return markdown(["put into the window", "n", "score rises by", "share that rises"], rows)


def remarks_table(result: Mapping[str, Any]) -> str:
    """Contradicted and unsupported remarks beside those of another clip."""
    names = {
        "hallucination": "contradicted by the injected truth",
        "unsupported": "not supported by the measurement",
    }
    rows = [
        [
            name,
            with_interval(result[f"{key}_rate"], result.get(f"{key}_rate_interval")),
            str(result[f"{key}_n"]),
            number(result[f"{key}_rate_shuffled"]),
        ]
        for key, name in names.items()
    ]
    return markdown(["remarks", "share [95% over performers]", "n", "of another clip"], rows)


def conditions_table(result: Mapping[str, Any], keys: Sequence[str]) -> str:
    """One row a condition of `result["conditions"]`."""
    rows = [
        [name, number(values.get("n")), *[number(values.get(key)) for key in keys]]
        for name, values in result.get("conditions", {}).items()
    ]
    return markdown(["condition", "n", *keys], rows)


def real_poses_table(result: Mapping[str, Any]) -> str:
    """The result of `poise eval real-poses`."""
    n = result["n"]
    counts = [[key, f"{result[key]} of {n}"] for key in ("recognised", "judged", "answered")]
    shares = [
        (f"same after a shift of up to {max(result['shifts_frames'])} frames", "shift"),
        (f"same with {result['noise_mm']:g} mm of noise", "noise"),
    ]
    rows = [(what, result["stability"][kind]) for what, kind in shares]
    rows.append(("same in two different clips (the floor)", result["between_clips"]))
    stability = [
        [what, number(s["level"]), number(s["first_fault"]), number(s["both"])] for what, s in rows
    ]
    spread = [
        [what, ", ".join(f"{name} {count}" for name, count in result[key].items()) or "none"]
        for what, key in (("levels", "levels"), ("first faults", "first_faults"))
    ]
    return "\n\n".join(
        [
            markdown([result["activity"], "clips"], counts),
            markdown(["agreement", "level", "first fault", "both"], stability),
            markdown(["answers", "how often"], spread),
        ]
    )


# Key, digits, and what may stand beside it as (name, key); bottom of `score_table` and mini-test.
TEXT_ROWS: Sequence[tuple[str, str, int]] = (
    ("BERTScore F1", "bertscore_f1", 4),
    ("BERTScore F1, rescaled", "bertscore_f1_rescaled", 4),
    ("METEOR", "meteor", 4),
    ("ROUGE-L", "rouge_l", 4),
    ("BLEU-4", "bleu4", 4),
    ("CIDEr-D", "cider", 4),
    ("specificity", "specificity", 4),
    ("actionability", "actionability", 4),
)
OTHER_ROWS: Sequence[tuple[str, str, int]] = (
    ("level accuracy", "accuracy", 3),
    ("level macro-F1", "macro_f1", 3),
    ("level MAE", "mae", 3),
    ("Spearman", "spearman", 3),
    ("quadratic kappa", "quadratic_kappa", 3),
    ("ECE", "ece", 3),
    ("recall@k", "recall_at_k", 3),
    ("median rank", "median_rank", 1),
    ("PA-MPJPE (mm)", "pa_mpjpe", 1),
    ("MPJPE (mm)", "mpjpe", 1),
    ("velocity error (mm/s)", "velocity_error", 1),
    ("bone-length drift (mm)", "bone_length_drift", 1),
    ("region-polarity F1", "region_polarity_f1", 3),
    ("format compliance", "format_compliance", 3),
    ("error recall", "error_recall", 3),
    ("hallucination rate", "hallucination_rate", 3),
)
BESIDE: Mapping[str, str] = {
    "shuffled": "shuffled",
    "majority": "majority",
    "constant": "best constant",
    "chance": "chance",
    "nearest_neighbour": "nearest neighbour",
    "of_references": "references' own",
}


def score_rows(result: Mapping[str, Any], rows: Sequence[tuple[str, str, int]]) -> list[list[str]]:
    """Cells of the rows whose key is in the result: value with interval, what is beside it, n."""
    found = []
    for what, key, digits in rows:
        if key not in result:
            continue
        value = with_interval(result[key], result.get("intervals", {}).get(key), digits)
        beside = [
            f"{name} {number(result[f'{key}_{part}'], digits)}"
            for part, name in BESIDE.items()
            if f"{key}_{part}" in result
        ]
        n = result.get(f"{key}_n", result.get("text_n", result.get("n")))
        found.append([what, value, ", ".join(beside) or "no floor", number(n)])
    return found


def texts_table(result: Mapping[str, Any]) -> str:
    """The text metrics of a suite's generated commentaries."""
    shown = {**result, "intervals": result.get("text_intervals", {})}
    rows = score_rows(shown, TEXT_ROWS)
    table = markdown(["commentary", "result [95% over performers]", "beside it", "n"], rows)
    reason = result.get("text_metrics_not_run")
    notes = text_notes(result) if reason is None else [f"text metrics not run: {reason}"]
    return "\n".join([table, *notes])


def score_table(result: Mapping[str, Any]) -> str:
    """The result of `poise eval score`, floors beside every row."""
    rows = score_rows(result, (*TEXT_ROWS, *OTHER_ROWS))
    table = markdown(["measure", "result [95%]", "beside it", "n"], rows)
    return "\n".join([table, *text_notes(result)])


def text_notes(result: Mapping[str, Any]) -> list[str]:
    """Lines that name BERTScore's model, METEOR's synonyms and what was cut for being shared."""
    notes = []
    if "bertscore_hash" in result:
        notes.append(f"BERTScore: {result['bertscore_hash']}, weights "
                     f"{result['bertscore_model_sha256'][:12]}")  # fmt: skip
    if "meteor_synonyms" in result:
        notes.append(f"METEOR: synonyms {result['meteor_synonyms']}")
    for side, cut in result.get("boilerplate", {}).items():
        if any(cut):
            notes.append(f"cut from all {side}: {' ... '.join(part for part in cut if part)!r}")
    for side, lines in result.get("shared_remarks", {}).items():
        notes += [f"remark cut from all {side}: {line!r}" for line in lines]
    return notes


def compare_table(result: Mapping[str, Any]) -> str:
    """The result of `poise eval compare`: both means, and every test of the difference."""
    rows = []
    for key, found in result["scores"].items():
        for test in found["tests"]:
            interval = (test["low"], test["high"])
            rows.append(
                [key, number(found["a"], 4), number(found["b"], 4)]
                + [with_interval(test["difference"], interval, 4)]
                + [p_text(test["p_value"]), number(test["n"]), test["test"]]
            )
    return markdown(["score", "A", "B", "A - B [95%]", "p", "n", "test"], rows)
