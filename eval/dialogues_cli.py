"""`poise eval chat-questions`: questions about simulated clips, and whether they are answered."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from assistant.files import check_writable
from eval.options import AsJson, ModelFolder, Output
from eval.output import finish

# Other performers than those of any training or test set.
CLIPS: Final = ("--performers", "16", "--clips", "6", "--seed", "7301", "--split", "test")
NOISE: Final = ("--noise", "15")


def chat_questions(
    questions: Annotated[Path, typer.Argument(help="JSONL: id, subject, region, sport, question.")],
    limit: Annotated[
        int | None, typer.Option(help="Every how many-th question so that about so many remain.")
    ] = None,
    tried: Annotated[int, typer.Option(help="Clips an activity to find a pair among.", min=2)] = 8,
    model: ModelFolder = None,
    cache: Annotated[Path, typer.Option(help="Where the clips lie or are made.")] = Path(
        "runs/chat-questions"
    ),
    as_json: AsJson = False,
    output: Output = None,
    seed: Annotated[int, typer.Option(help="Of exchanges and intervals.")] = 0,
) -> None:
    """Share of coaching questions answered on the asked subject, with floors."""
    check_writable(output)
    from assistant.coach import Coach
    from assistant.progress import progress_bar
    from eval import testset
    from eval.dialogues import ask_all, evaluate, pairs_of, read_questions, table
    from eval.variants import CoachVariant

    asked = read_questions(questions)
    if limit is not None and limit < len(asked):
        asked = asked[:: -(-len(asked) // limit)]
    coach = CoachVariant(Coach.from_pretrained(model), retrieve=False, correct=False)
    clips = testset.load(cache, "clips", (*CLIPS, *NOISE)).clips
    activities = coach.activities
    print(f"looking for pairs of {', '.join(activities)}", file=sys.stderr)
    pairs = pairs_of(coach, clips, activities, tried)
    with progress_bar("chat questions") as progress:
        answered = ask_all(coach, asked, pairs, progress)
    result = evaluate(answered, asked, seed=seed)
    result |= {
        "provenance": coach.identity,
        "clips": {a: [clip.name for clip in pair] for a, pair in pairs.items()},
        "command": f"poise data drills {' '.join((*CLIPS, *NOISE))}",
        "what": "simulated drills with 15 mm pose noise, not real people",
        "seed": seed,
    }
    finish(result, as_json, output, table(result))
