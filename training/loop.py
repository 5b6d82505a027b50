"""The training loop of the language stages, on accelerate: CPU, one GPU or several, bf16.

    poise train mini                                             one process
    accelerate launch --num_processes 4 -m training.cli mini     several

A batch is the same conversations however many processes and accumulated pieces share it, and its
loss is the mean over all its tokens, so that both change rounding only. On CPU a seed gives the
same weights on the same machine type and thread count, and a resumed run the weights of one that
was never interrupted.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch import nn

from assistant.errors import PoiseError
from assistant.model.processing_poise import PoiseProcessor
from training.batches import epoch_steps, length_batches, loss_weight, shared_out
from training.language_samples import TokenSample
from training.loop_log import LoopLog
from training.loop_state import (
    clear_states,
    latest_step,
    load_trained,
    read_state,
    restore_random,
    save_state,
    trained_state,
)
from training.precision import Precision, uses_bf16
from training.progress import Progress

LARGEST_NORM = 1.0
# The loss that is shown is the mean of so many steps; the log has a line as often as that.
SHOWN_STEPS, LOGGED_STEPS = 50, 10
# What the log calls a value measured on held-out data.
MEASURED = "validation/"

Evaluate = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        steps: updates.
        batch_size: conversations of one update, of all processes together.
        warmup: updates until the learning rate is reached; it then falls to 0 as a cosine.
        precision: "bf16" (autocast), "fp32", or "auto": bf16 where the machine has it.
        accumulation: pieces that a process computes one after the other in an update.
        packing: lay the conversations of a piece into one row instead of padding them.
        checkpoint_steps, evaluation_steps: updates between two of them; 0 is never.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int
    weight_decay: float
    precision: Precision
    seed: int
    accumulation: int = 1
    packing: bool = False
    checkpoint_steps: int = 0
    evaluation_steps: int = 0


def cosine_with_warmup(step: int, warmup: int, steps: int) -> float:
    """Factor of the learning rate at `step`."""
    if step < warmup:
        return (step + 1) / warmup
    return float(0.5 * (1 + np.cos(np.pi * min((step - warmup) / max(steps - warmup, 1), 1.0))))


def make_accelerator(precision: Precision) -> Accelerator:
    """The accelerator of this process, as `accelerate launch` or nobody has set it up.

    Accelerate holds a process to the precision of its first training; another one is no fault here.
    """
    AcceleratorState._reset_state()
    return Accelerator(
        mixed_precision="bf16" if uses_bf16(precision) else "no",
        cpu=not torch.cuda.is_available(),
        # A batch without films leaves the video projector unused.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


class Loop:
    """One training of a model on conversations.

    Args:
        model: trained in place.
        folder: keeps the states and the log; without one nothing is written.
        resume: go on from the last state in `folder`, if there is one.
        evaluate: measures the model on held-out data.
    """

    def __init__(
        self,
        model: nn.Module,
        samples: Sequence[TokenSample],
        processor: PoiseProcessor,
        plan: Plan,
        *,
        progress: Progress,
        folder: Path | None = None,
        resume: bool = False,
        evaluate: Evaluate | None = None,
    ) -> None:
        self.plan, self.samples, self.processor = plan, samples, processor
        self.progress, self.folder, self.evaluate = progress, folder, evaluate
        self.accelerator = make_accelerator(plan.precision)
        self.bare = model
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            self.parameters,
            lr=plan.learning_rate,
            weight_decay=plan.weight_decay,
            betas=(0.9, 0.98),
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda s: cosine_with_warmup(s, plan.warmup, plan.steps)
        )
        self.losses: list[float] = []
        self.step, self.resumed = 0, False
        self._begin(optimiser, resume)
        self.model, self.optimiser = self.accelerator.prepare(model, optimiser)
        self.log = None
        if folder is not None and self.accelerator.is_main_process:
            self.log = LoopLog(folder, self.step)

    def _begin(self, optimiser: torch.optim.Optimizer, resume: bool) -> None:
        """Take up the last state in the folder, or clear it."""
        if self.folder is None:
            return
        step = latest_step(self.folder) if resume else None
        if step is not None:
            process = self.accelerator.process_index
            state, chance = read_state(self.folder, step, process)
            load_trained(self.bare, state["model"])
            optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
            self.losses, self.step, self.resumed = state["losses"], step, True
            restore_random(chance)
            self.progress.say(f"resumed at step {step} of {self.plan.steps}")
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            clear_states(self.folder, keep=step)

    def run(self) -> list[float]:
        """Train; the losses, one a step.

        Raises:
            PoiseError: the loss or its gradient is not finite; names step and conversations.
        """
        plan, language_model = self.plan, language_model_of(self.bare)
        # In float32 on a CPU the plain attention trains faster than the fused one, whose backward
        # is slow there; in bfloat16 it takes up to twice as long.
        inference_attention = language_model.config._attn_implementation
        if self.accelerator.device.type == "cpu" and not uses_bf16(plan.precision):
            language_model.set_attn_implementation("eager")
        self.model.train()
        if not self.resumed:
            self._measure()
            self._save()
        batches = length_batches(
            [len(s.ids) for s in self.samples], plan.batch_size, plan.steps, plan.seed
        )
        for number, indices in enumerate(batches):
            if number >= self.step:
                self._update(indices)
        language_model.set_attn_implementation(inference_attention)
        # Without this the model would go on computing in bf16 wherever it is called from now on.
        trained = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        trained.eval()
        if self.log is not None:
            self.log.close()
        return self.losses

    def _update(self, indices: list[int]) -> None:
        """One step of the optimiser, and what is due after it."""
        started = perf_counter()
        self.losses.append(self._backward(indices))
        norm = self.accelerator.clip_grad_norm_(self.parameters, LARGEST_NORM)
        if not bool(torch.isfinite(norm)):
            raise self._diverged("gradient", float(norm), indices)
        rate = self.schedule.get_last_lr()[0]
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        mean = float(np.mean(self.losses[-SHOWN_STEPS:]))
        self.progress.advance(self.step, self.plan.steps, f"loss {mean:.3f}")
        if self.log is not None and (self.step % LOGGED_STEPS == 0 or self._last()):
            tokens = sum(len(self.samples[i].ids) for i in indices)
            values: dict[str, float] = {
                "train/loss": self.losses[-1],
                "train/gradient_norm": float(norm),
                "train/learning_rate": float(rate),
                "train/tokens_per_second": tokens / (perf_counter() - started),
                "train/epoch": self.step / self._epoch(),
            }
            self.log.write(self.step, values)
        if self._due(self.plan.evaluation_steps) or self.step % self._epoch() == 0:
            self._measure()
        if self._due(self.plan.checkpoint_steps):
            self._save()

    def _backward(self, indices: list[int]) -> float:
        """Gradients of the batch's mean loss, and that loss."""
        processes, pieces = self.accelerator.num_processes, self.plan.accumulation
        if processes * pieces == 1:
            loss = self._loss(indices)
            self.accelerator.backward(loss)
            return loss.item()
        first = self.accelerator.process_index * pieces
        mine = shared_out(indices, processes * pieces)[first : first + pieces]
        whole = loss_weight([self.samples[i] for i in indices])
        total = torch.zeros((), device=self.accelerator.device)
        for number, piece in enumerate(mine):
            last = number == pieces - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                # Every process must take part: with nothing to do, it computes what counts nothing.
                share = loss_weight([self.samples[i] for i in piece]) / whole
                loss = self._loss(piece or indices[:1]) * share
                total += loss.detach()
                self.accelerator.backward(loss * processes)  # processes are averaged
        return float(self.accelerator.reduce(total, "sum"))

    def _loss(self, indices: list[int]) -> torch.Tensor:
        """Mean loss over the tokens of some conversations."""
        chosen = [self.samples[i] for i in indices]
        batch = self.processor.collate(
            [s.ids for s in chosen],
            [s.inputs for s in chosen],
            labels=[s.labels for s in chosen],
            label_weights=[s.weights for s in chosen],
            packed=self.plan.packing,
        ).to(self.accelerator.device)
        with self.accelerator.autocast():
            loss: torch.Tensor = self.model(**batch).loss
        if not torch.isfinite(loss):
            raise self._diverged("loss", loss.item(), indices)
        return loss

    def _diverged(self, what: str, value: float, indices: Sequence[int]) -> PoiseError:
        named = ", ".join(self.samples[i].sample_id or f"number {i}" for i in indices)
        return PoiseError(
            f"the {what} of {self.progress.name} is not finite",
            got=f"{what} {value} at step {self.step} in the batch of {named}",
            remedy="look at these samples, or lower the learning_rate",
        )

    def _epoch(self) -> int:
        return epoch_steps(len(self.samples), self.plan.batch_size)

    def _last(self) -> bool:
        return self.step == self.plan.steps

    def _due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self._last())

    def _measure(self) -> None:
        """Evaluate in the first process; the random state and the mode are as before."""
        if self.evaluate is None or not self.plan.evaluation_steps:
            return
        if self.accelerator.is_main_process:
            with torch.random.fork_rng():
                found = {"epoch": self.step / self._epoch(), **self.evaluate(self.bare)}
                values = {f"{MEASURED}{name}": value for name, value in found.items()}
            told = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
            self.progress.say(f"step {self.step}: {told}")
            if self.log is not None:
                self.log.write(self.step, values)
            self.model.train()
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        if self.folder is None or not self.plan.checkpoint_steps:
            return
        state = {
            "model": trained_state(self.bare),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "losses": self.losses,
        }
        save_state(self.folder, self.step, state, self.accelerator)


def language_model_of(model: nn.Module) -> Any:
    """The causal language model inside Poise's model, also under an adapter."""
    inner: Any = model
    if hasattr(inner, "get_base_model"):
        inner = inner.get_base_model()
    return inner.language_model
