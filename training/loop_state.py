"""The state of a training loop on disk: written beside, synced and renamed, so never half there.

    work/loop/STAGE/step-00000200/state.pt     weights that train, optimiser, schedule, losses
                                  random-0.pt  random state of process 0

A process that is killed at any moment, also while saving, leaves the last whole state behind.
"""

import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from assistant.errors import PoiseError
from training.atomic import PART, publish

STATE_FILE = "state.pt"


def step_folder(folder: Path, step: int) -> Path:
    """Where the state after `step` steps stands."""
    return folder / f"step-{step:08d}"


def latest_step(folder: Path) -> int | None:
    """The last step whose state is whole, None when there is none."""
    found = [re.fullmatch(r"step-(\d{8})", path.name) for path in folder.glob("step-*")]
    return max((int(match[1]) for match in found if match), default=None)


def clear_states(folder: Path, *, keep: int | None = None) -> None:
    """Remove all states but that of step `keep`, and what a killed process left unfinished."""
    for path in folder.glob("step-*"):
        if keep is None or path != step_folder(folder, keep):
            if path.suffix != PART:  # half removed, it must no longer count as a state
                path = path.rename(path.with_name(path.name + PART))
            shutil.rmtree(path)


def trained_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """All weights that train, and all buffers that are saved, by name; frozen weights are not."""
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    buffers = {name for name, _ in model.named_buffers()}
    return {
        name: value
        for name, value in model.state_dict().items()
        if isinstance(value, torch.Tensor)
        and name not in frozen
        and (name in buffers or _trains(model, name))
    }


def _trains(model: nn.Module, name: str) -> bool:
    """Whether the entry of a state dict is a weight that trains (others: a quantisation's own)."""
    try:
        return model.get_parameter(name).requires_grad
    except AttributeError:
        return False


@torch.no_grad()
def load_trained(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Put back what `trained_state` gave.

    Raises:
        PoiseError: the state belongs to another model.
    """
    wanted = trained_state(model)
    if set(wanted) != set(state) or any(state[n].shape != v.shape for n, v in wanted.items()):
        other = sorted(set(wanted) ^ set(state))
        raise PoiseError(
            "a saved training state does not fit the model",
            got=f"{len(state)} tensors, {len(other)} of them other names: {', '.join(other[:3])}",
            expected=f"{len(wanted)} tensors of the same shapes",
            remedy="resume with the settings and the version of Poise that wrote it",
        )
    for name, value in wanted.items():
        value.copy_(state[name])


def random_state() -> dict[str, Any]:
    """The state of every random number generator that a training may use."""
    state: Any = np.random.get_state()  # noqa: NPY002  (the state of others' draws)
    kind, keys, *rest = state
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random(state: dict[str, Any]) -> None:
    """Put back what `random_state` gave."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def save_state(folder: Path, step: int, state: dict[str, Any], accelerator: Any) -> None:
    """Write the state after `step` steps and remove older ones.

    All processes call this; the first one writes `state`, each its own random state.
    """
    final = step_folder(folder, step)
    part = final.with_name(final.name + PART)
    if accelerator.is_main_process:
        for old in (part, final):
            shutil.rmtree(old, ignore_errors=True)
        part.mkdir(parents=True)
    accelerator.wait_for_everyone()
    torch.save(random_state(), part / f"random-{accelerator.process_index}.pt")
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        torch.save(state, part / STATE_FILE)
        publish(part, final)
        clear_states(folder, keep=step)
    accelerator.wait_for_everyone()


def read_state(folder: Path, step: int, process: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """State and random state of one process, as `save_state` wrote them.

    Raises:
        PoiseError: the run was started with fewer processes.
    """
    place = step_folder(folder, step)
    chance = place / f"random-{process}.pt"
    if not chance.is_file():
        raise PoiseError(
            f"cannot resume from {place}",
            got=f"no random state of process {process}",
            remedy="resume with as many processes as the run was started with",
        )
    state = torch.load(place / STATE_FILE, map_location="cpu", weights_only=True)
    return state, torch.load(chance, map_location="cpu", weights_only=True)
