"""Sentences of simulated commentaries, from which the baseline of BERTScore draws its pairs."""

from pathlib import Path
from typing import Final

from assistant.dataset import INFO_FILE, iterate_samples
from eval.metrics.words import sentences
from eval.testset import make
from eval.text_scores import commentary_text
from prompts.parse import parse_feedback

# Performers who are in no other set; all six drills.
SET: Final = ("--performers", "60", "--clips", "4", "--seed", "7301", "--split", "train")
ARGUMENTS: Final = (*SET, "--noise", "clean")


def simulated_sentences(folder: Path) -> tuple[list[str], str]:
    """Sentences of the summaries of simulated clips, made in `folder` where it has none.

    Returns:
        The sentences, and the command whose clips they are of.
    """
    if not (folder / INFO_FILE).is_file():
        make(folder, ARGUMENTS)
    found = [
        sentence
        for sample in iterate_samples(folder)
        if sample["summary"]
        for sentence in sentences(commentary_text(parse_feedback(sample["summary"]).commentary))
    ]
    return found, f"poise data drills {' '.join(ARGUMENTS)}"
