"""Stage `contrastive`: the two encoders of the baseline "contrastively tuned retrieval".

    poise train ablation --stage contrastive -o RUN
    poise eval mini-test --model RUN --contrastive RUN/work/contrastive

It is no part of a whole run. Pairs are the learners of pool B with their demonstrations, those of
the language stage (`language.demonstrations`).
"""

from collections.abc import Sequence

import numpy as np
import torch

from assistant.checkpoint import LIBRARY_FOLDER
from assistant.demos.contrastive import DualEncoder
from assistant.demos.library import Library
from assistant.errors import PoiseError
from training.clips import perceived_clips
from training.language_samples import Pairs, PerceivedClip
from training.progress import Progress
from training.recipe import ContrastiveSettings
from training.run import WORK, Run

CONTRASTIVE = "contrastive"


def contrastive_stage(run: Run) -> None:
    """Train on pool B and write `work/contrastive`."""
    library, progress = Library.load(run.folder / LIBRARY_FOLDER), Progress(CONTRASTIVE)
    clips = perceived_clips(run, library, run.recipe.seed + 21)
    pairs = Pairs(library, run.recipe.language.demonstrations, run.recipe.seed)
    shown = [pairs.place(i, clip) for i, clip in enumerate(clips)]
    model, losses = train_contrastive(
        clips, library, shown, run.recipe.contrastive, seed=run.recipe.seed + 5
    )
    model.save_pretrained(run.folder / WORK / CONTRASTIVE)
    last = float(np.mean(losses[-50:]))
    progress.say(f"{len(clips)} pairs, loss {last:.3f}")
    run.write_metrics(CONTRASTIVE, {"loss": last, "pairs": len(clips)})


def train_contrastive(
    clips: Sequence[PerceivedClip],
    library: Library,
    shown: Sequence[int],
    settings: ContrastiveSettings,
    *,
    seed: int,
) -> tuple[DualEncoder, list[float]]:
    """The encoders and the loss of every step.

    InfoNCE (van den Oord et al. 2018): each learner of a batch chooses its item among all items of
    its activity; batches hold one activity.

    Args:
        shown: place in the library of each clip's demonstration.

    Raises:
        PoiseError: there is no clip.
    """
    if not clips:
        raise PoiseError("no pairs to learn from", got="0 clips", expected="some in pool B")
    rng = np.random.default_rng([seed, 17])
    learners = torch.from_numpy(np.stack([c.window.joints for c in clips])).float()
    windows = torch.from_numpy(np.stack([item.window for item in library.items])).float()
    places = groups(library)
    names = sorted({clip.drill.activity for clip in clips})
    mine = {a: [i for i, c in enumerate(clips) if c.drill.activity == a] for a in names}
    share = np.array([len(mine[name]) for name in names]) / len(clips)
    torch.manual_seed(seed)
    model = DualEncoder(settings.width, settings.size)
    optimiser = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    losses = []
    for _ in range(settings.steps):
        name = names[int(rng.choice(len(names), p=share))]
        rows = rng.choice(mine[name], min(settings.batch_size, len(mine[name])), replace=False)
        target = torch.tensor([places[name].index(shown[row]) for row in rows])
        loss = torch.nn.functional.cross_entropy(
            model(learners[rows], windows[places[name]]), target
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return model.eval(), losses


def groups(library: Library) -> dict[str, list[int]]:
    """Places of each activity's items in the library."""
    found: dict[str, list[int]] = {}
    for place, item in enumerate(library.items):
        found.setdefault(item.activity, []).append(place)
    return found
