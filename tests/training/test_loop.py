"""The loop: shared batches, packing, states that survive a kill, evaluation, the log."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.files import file_sha256
from training import atomic, loop_state
from training.adapter import add_lora
from training.batches import loss_weight, shared_out
from training.loop import Loop, Plan
from training.loop_log import LoopLog, read_log
from training.loop_state import latest_step, step_folder
from training.progress import Progress
from training.recipe import LoraSettings
from training.sample_store import read_samples, write_samples

# Dropout draws random numbers in every step: a resumed run must draw the same ones.
DROPPED = LoraSettings(rank=2, alpha=4, dropout=0.2)
PLAN = Plan(
    steps=7, batch_size=2, learning_rate=3e-3, warmup=2, weight_decay=0.01, precision="auto",
    seed=5, checkpoint_steps=2,
)  # fmt: skip


def prepared(make_model, samples, processor, plan=PLAN, **options) -> Loop:
    model = add_lora(make_model(), DROPPED, [1, 2])
    torch.manual_seed(3)
    return Loop(model, samples, processor, plan, progress=Progress("test"), **options)


def weights(loop: Loop) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in loop.bare.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def whole(make_model, samples, processor) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights of a run that was never interrupted and writes nothing."""
    loop = prepared(make_model, samples, processor)
    return loop.run(), weights(loop)


class Killed(BaseException):
    """Stands for a signal that no handler sees."""


@pytest.mark.parametrize("last", [1, 2, 5])
def test_a_run_that_stops_anywhere_resumes_to_the_same_weights(
    make_model, samples, processor, whole, tmp_path, monkeypatch, last
) -> None:
    update = Loop._update

    def stop(loop: Loop, indices: list[int]) -> None:
        if loop.step == last:
            raise Killed
        update(loop, indices)

    monkeypatch.setattr(Loop, "_update", stop)
    with pytest.raises(Killed):
        prepared(make_model, samples, processor, folder=tmp_path).run()
    monkeypatch.setattr(Loop, "_update", update)
    assert latest_step(tmp_path) == last // 2 * 2
    torch.manual_seed(99)
    resumed = prepared(make_model, samples, processor, folder=tmp_path, resume=True)
    assert resumed.step == last // 2 * 2
    losses, expected = whole
    assert resumed.run() == losses
    assert same(weights(resumed), expected)
    assert latest_step(tmp_path) == 7


SAVING = ["rng", "state", "sync", "rename", "clear"]


@pytest.mark.parametrize("moment", SAVING)
def test_a_kill_inside_a_save_leaves_a_whole_state(
    make_model, samples, processor, whole, tmp_path, monkeypatch, moment
) -> None:
    """Every step of the second save in turn is where the process ends."""
    target, name = {
        "rng": (loop_state, "random_state"),
        "state": (torch, "save"),
        "sync": (atomic, "sync"),
        "rename": (atomic.os, "replace"),
        "clear": (loop_state.shutil, "rmtree"),
    }[moment]
    real, saves = getattr(target, name), []

    def die(*arguments, **options):
        there = moment != "clear" or arguments[0].exists()
        if latest_step(tmp_path) is not None and saves and there:
            if moment == "state":  # half of the bytes are on the disk
                real(*arguments, **options)
                path = arguments[1]
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            raise Killed
        return real(*arguments, **options)

    save = Loop._save

    def counted(loop: Loop) -> None:
        if loop.step:
            saves.append(loop.step)
        save(loop)

    monkeypatch.setattr(target, name, die)
    monkeypatch.setattr(Loop, "_save", counted)
    with pytest.raises(Killed):
        prepared(make_model, samples, processor, folder=tmp_path).run()
    monkeypatch.undo()
    assert latest_step(tmp_path) == (2 if moment == "clear" else 0)
    resumed = prepared(make_model, samples, processor, folder=tmp_path, resume=True)
    losses, expected = whole
    assert resumed.run() == losses and same(weights(resumed), expected)
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000007"]


def test_without_resume_it_begins_again(make_model, samples, processor, whole, tmp_path) -> None:
    prepared(make_model, samples, processor, folder=tmp_path).run()
    again = prepared(make_model, samples, processor, folder=tmp_path)
    assert again.step == 0 and latest_step(tmp_path) is None
    assert again.run() == whole[0]


def test_a_finished_loop_only_loads(make_model, samples, processor, whole, tmp_path) -> None:
    prepared(make_model, samples, processor, folder=tmp_path).run()
    again = prepared(make_model, samples, processor, folder=tmp_path, resume=True)
    assert again.run() == whole[0] and same(weights(again), whole[1])


def test_the_state_of_another_model_is_refused(make_model, samples, processor, tmp_path) -> None:
    prepared(make_model, samples, processor, folder=tmp_path).run()
    other = add_lora(make_model(), replace(DROPPED, rank=3), [1, 2])
    with pytest.raises(PoiseError, match="does not fit the model"):
        Loop(
            other, samples, processor, PLAN,
            progress=Progress("test"), folder=tmp_path, resume=True,
        )  # fmt: skip


def test_only_what_trains_is_saved(make_model, samples, processor, tmp_path) -> None:
    loop = prepared(make_model, samples, processor, folder=tmp_path)
    loop.run()
    state = torch.load(step_folder(tmp_path, 7) / "state.pt", weights_only=True)["model"]
    trains = {name for name, value in loop.bare.named_parameters() if value.requires_grad}
    assert trains <= set(state)
    assert not any(name.endswith("_proj.base_layer.weight") for name in state)


def test_a_batch_in_pieces_is_the_same_batch(make_model, samples, processor) -> None:
    def trained(accumulation: int) -> dict[str, torch.Tensor]:
        model = make_model()
        plan = replace(
            PLAN, batch_size=5, precision="fp32", accumulation=accumulation, learning_rate=1e-3
        )
        loop = Loop(model, samples, processor, plan, progress=Progress("test"))
        losses[accumulation] = loop.run()
        return weights(loop)

    losses: dict[int, list[float]] = {}
    # Batches of 5 and of 1 by turns: of four pieces some are empty.
    one, four = trained(1), trained(4)
    assert losses[4] == pytest.approx(losses[1], abs=1e-4)
    start = make_model().state_dict()
    for name in one:
        moved = (one[name] - start[name]).abs().max().item()
        assert (four[name] - one[name]).abs().max().item() <= 0.02 * moved + 1e-6, name


def test_pieces_hold_the_batch_in_order() -> None:
    assert shared_out([4, 9, 2, 7, 1], 2) == [[4, 9, 2], [7, 1]]
    assert shared_out([3], 3) == [[3], [], []]
    for parts in range(1, 6):
        assert [i for piece in shared_out(range(11), parts) for i in piece] == list(range(11))


def test_the_weight_of_a_sample_is_that_of_its_predicted_tokens(samples) -> None:
    one = replace(samples[0], ids=[5, 6, 7, 8], labels=[5, -100, 7, 8], weights=[9.0, 9.0, 4.0, 1])
    assert loss_weight([one]) == 5.0
    assert loss_weight([one, one]) == 10.0
    assert loss_weight([]) == 0


def double(batch):
    def is_float(value) -> bool:
        return isinstance(value, torch.Tensor) and value.is_floating_point()

    return {k: v.double() if is_float(v) else v for k, v in batch.items()}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_packed_sample_has_the_logits_that_it_has_alone(
    make_model, samples, processor, attention
) -> None:
    model = make_model().double()
    model.language_model.set_attn_implementation(attention)
    some = [samples[i] for i in (2, 0, 3, 1)]  # with two views, none, none and one

    def batch(chosen, packed):
        made = processor.collate(
            [s.ids for s in chosen],
            [s.inputs for s in chosen],
            labels=[s.labels for s in chosen],
            label_weights=[s.weights for s in chosen],
            packed=packed,
        )
        return double(made)

    with torch.inference_mode():
        packed = model(**batch(some, True))
        padded = model(**batch(some, False))
        alone = [model(**batch([s], False)).logits[0] for s in some]
        # The same row as one long conversation: what packing must not be.
        mixed = {k: v for k, v in batch(some, True).items() if k != "position_ids"}
        mixed |= {"inputs_embeds": model.embed(
            mixed["input_ids"],
            {m: (mixed.get(f"{m}_features"), mixed.get(f"{m}_mask"))
             for m in ("video", "pose", "score", "regions", "stage1")},
            batch(some, True)["position_ids"],
        )}  # fmt: skip
        joined = model(inputs_embeds=mixed["inputs_embeds"]).logits
    assert packed.logits.shape[:2] == (1, sum(len(s.ids) for s in some))
    assert torch.allclose(packed.logits[0], torch.cat(alone), atol=1e-9)
    assert not torch.allclose(joined[0], torch.cat(alone), atol=1e-3)
    assert packed.loss.item() == pytest.approx(padded.loss.item(), abs=1e-9)


def test_packed_features_are_counted_sample_by_sample(make_model, samples, processor) -> None:
    some = [samples[1], samples[2]]
    swapped = [samples[2].inputs, samples[1].inputs]  # one and two views, the other way round
    batch = processor.collate([s.ids for s in some], swapped, packed=True)
    with pytest.raises(PoiseError, match="does not match its video features"):
        make_model()(**batch)


def test_packing_trains_as_padding_does(make_model, samples, processor) -> None:
    def losses(packing: bool) -> list[float]:
        plan = replace(PLAN, packing=packing, precision="fp32", batch_size=3)
        model = make_model()
        return Loop(model, samples, processor, plan, progress=Progress("test")).run()

    assert losses(True) == pytest.approx(losses(False), abs=1e-3)


def test_evaluation_is_on_time_and_leaves_training_alone(
    make_model, samples, processor, whole, tmp_path
) -> None:
    modes, seen = [], []

    def evaluate(model) -> dict[str, float]:
        modes.append(model.training)
        model.eval()
        seen.append(torch.rand(3))  # draws from the random state
        return {"loss": len(seen)}

    plan = replace(PLAN, evaluation_steps=5)
    loop = prepared(make_model, samples, processor, plan, folder=tmp_path, evaluate=evaluate)
    assert loop.run() == whole[0] and same(weights(loop), whole[1])
    # Before the first step, at each end of an epoch of 3 steps, at step 5 and at the end.
    told = [line["step"] for line in read_log(tmp_path) if "validation/loss" in line]
    assert told == [0, 3, 5, 6, 7]


def test_the_log_of_a_resumed_run_has_every_step_once(tmp_path) -> None:
    log = LoopLog(tmp_path)
    for step in (1, 2, 3):
        log.write(step, {"train/loss": step / 2})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "train/lo')  # killed here
    log = LoopLog(tmp_path, 2)
    log.write(3, {"train/loss": 7.0})
    log.close()
    assert [(line["step"], line["train/loss"]) for line in read_log(tmp_path)] == [
        (1, 0.5), (2, 1.0), (3, 7.0),
    ]  # fmt: skip


def test_tensorboard_shows_the_log(tmp_path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `train` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = LoopLog(tmp_path)
    log.write(1, {"train/loss": 2.5})
    log.close()
    shown = EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    assert [(e.step, e.value) for e in shown.Scalars("train/loss")] == [(1, 2.5)]


def test_conversations_come_back_from_disk_as_they_were(samples, make_inputs, tmp_path) -> None:
    bare = replace(samples[0], inputs=make_inputs(1, video=0, pose=0, score=False, regions=False))
    told = replace(samples[1], inputs=replace(samples[1].inputs, pose_text="0.0 s 1 2 3"))
    written = [*samples, bare, told]
    path = tmp_path / "samples.safetensors"
    write_samples(path, written)
    assert [p.name for p in tmp_path.iterdir()] == ["samples.safetensors"]
    for before, after in zip(written, read_samples(path), strict=True):
        assert (after.ids, after.labels, after.weights) == (
            before.ids, before.labels, before.weights,
        )  # fmt: skip
        assert after.sample_id == before.sample_id
        for name, value in vars(before.inputs).items():
            found = getattr(after.inputs, name)
            if isinstance(value, np.ndarray):
                assert found.dtype == value.dtype and np.array_equal(found, value), name
            else:
                assert found == value, name
    again = tmp_path / "again.safetensors"
    write_samples(again, written)
    assert file_sha256(again) == file_sha256(path)
    write_samples(again, list(reversed(written)))
    assert file_sha256(again) != file_sha256(path)


def test_every_generator_goes_on_where_it_was() -> None:
    state = loop_state.random_state()
    first = (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002
    loop_state.restore_random(state)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == first  # noqa: NPY002
