"""`poise bench train`: real tokens a second of our loop beside the stock transformers Trainer.

Both train the same model, all its parameters, for one epoch on the same conversations with batches
of the same size and in the same precision (bf16 where the machine has it), in turns in one run.
Only tokens of conversations count, not padding. On CPU the model is the shipped mini; on a GPU it
has the shape of SmolLM2-135M, and the share of the GPU's peak that the model's own arithmetic
reaches (MFU) stands beside it. Features are random: what they are does not matter for the time, and
they are cached in training too.
"""

import tempfile
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from assistant.bench import BY_RATE, Aim, compared, in_turns, seconds
from assistant.checkpoint import DEFAULT_NAME, LANGUAGE_FOLDER, WEIGHTS_FOLDER
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.tasks.commentary import prompt_pieces
from data_prep.drills.commentary import compose_summary
from data_prep.drills.simulate import simulate_many
from prompts.render import render_messages
from training.batches import epoch_steps
from training.language_samples import TokenSample, supervise, token_sample
from training.loop import Loop, Plan
from training.precision import uses_bf16
from training.pretraining import load_processor
from training.progress import Progress
from training.talk import talk_samples

PERFORMERS, CLIPS_PER_PERFORMER = 16, 2
BATCH, ROUNDS, RATE = 8, 3, 1e-4
AIM: Final = 1.5  # times the stock Trainer, on a CPU
# Dense bf16 operations a second as their data sheets print them.
PEAKS: Final = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12,
                "4090": 165e12}  # fmt: skip


def run() -> dict[str, Any]:
    """Tokens a second of both, their ratio by rounds, and how full the batches were."""
    torch.manual_seed(0)
    model, processor = bench_model()
    samples = bench_samples(processor, model)
    tokens = sum(len(s.ids) for s in samples)
    plan = Plan(
        steps=epoch_steps(len(samples), BATCH), batch_size=BATCH, learning_rate=RATE, warmup=0,
        weight_decay=0.0, precision="auto", seed=0, packing=torch.cuda.is_available(),
    )  # fmt: skip
    works = (
        lambda: Loop(model, samples, processor, plan, progress=Progress("ours")).run(),
        lambda: train_stock(model, samples, processor, plan),
    )
    for work in works:  # kernels and caches are warm for both
        work()
    ours, stock = in_turns(works, ROUNDS, lambda work: tokens / seconds(work))
    result = {
        "measured": "one epoch, tokens without padding",
        **compared(
            ours,
            {"transformers.Trainer, same conversations, model, batch and precision": stock},
            ours_is="poise train",
            unit="tokens/s",
            ratio_is=BY_RATE,
            aims=[] if torch.cuda.is_available() else [Aim("ratio", "at_least", AIM)],
        ),
        "conversations": len(samples),
        "tokens": tokens,
        "parameters": sum(p.numel() for p in model.parameters()),
        "bf16": uses_bf16(plan.precision),
    }
    return result | utilisation(model, samples, float(np.median(ours)))


def bench_model() -> tuple[PoiseForConditionalGeneration, PoiseProcessor]:
    """The shipped mini, or on a GPU its parts around a language model of SmolLM2-135M's shape."""
    folder = WEIGHTS_FOLDER / DEFAULT_NAME / LANGUAGE_FOLDER
    processor = load_processor(folder)
    model = PoiseForConditionalGeneration.from_pretrained(folder)
    if torch.cuda.is_available():
        config = model.config
        config.text_config = smollm2_135m(config.text_config.vocab_size)
        model = PoiseForConditionalGeneration(config)
    return model, processor


def smollm2_135m(vocabulary: int) -> Any:
    """The shape of HuggingFaceTB/SmolLM2-135M-Instruct with at least so many vocabulary rows."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=max(vocabulary, 49152), hidden_size=576, intermediate_size=1536,
        num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
        max_position_embeddings=8192, tie_word_embeddings=True,
    )  # fmt: skip


def bench_samples(
    processor: PoiseProcessor, model: PoiseForConditionalGeneration
) -> list[TokenSample]:
    """Talk, commentary after features, and commentary with corrected codes, as in the stages."""
    drills = [
        d
        for d in simulate_many(PERFORMERS, CLIPS_PER_PERFORMER, 0, split="train", workers=1)
        if d.level is not None
    ]
    config, samples = model.config, talk_samples(processor, drills, 0)
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([i])
        inputs = random_inputs(config, rng)
        summary, pieces = compose_summary(drill, rng), prompt_pieces(inputs)
        learner, target = rng.integers(
            config.codebook_size, size=(2, config.correction_frames, config.tokens_per_frame)
        ).tolist()
        for messages in (
            render_messages("commentary", target=summary, **pieces),
            supervise(
                render_messages(
                    "correction",
                    commentary=summary,
                    learner_codes=learner,
                    target=target,
                    **pieces,
                )
            ),
        ):
            samples.append(token_sample(processor, messages, inputs))
    return samples


def random_inputs(config: Any, rng: np.random.Generator) -> ModelInputs:
    """Features of the right shapes, half of the clips with films."""

    def rows(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return ModelInputs(
        video=rows(2, config.video_size) if rng.random() < 0.5 else None,
        pose=rows(config.correction_frames, config.pose_size),
        score=rows(config.score_size),
        regions=rows(config.regions_size),
        stage1=rows(3, config.stage1_size),
    )


def train_stock(
    model: PoiseForConditionalGeneration,
    samples: Sequence[TokenSample],
    processor: PoiseProcessor,
    plan: Plan,
) -> None:
    """One epoch by `transformers.Trainer` as it is, batches padded and shuffled as it does it."""
    from transformers import Trainer, TrainingArguments

    def collate(chosen: list[TokenSample]) -> dict[str, torch.Tensor]:
        return dict(
            processor.collate(
                [s.ids for s in chosen],
                [s.inputs for s in chosen],
                labels=[s.labels for s in chosen],
                label_weights=[s.weights for s in chosen],
            )
        )

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, max_steps=plan.steps, per_device_train_batch_size=plan.batch_size,
            learning_rate=plan.learning_rate, bf16=uses_bf16(plan.precision),
            use_cpu=not torch.cuda.is_available(),
            report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            remove_unused_columns=False, seed=plan.seed,
        )  # fmt: skip
        trainer = Trainer(
            model=model, args=arguments, train_dataset=list(samples), data_collator=collate
        )
        trainer.train()


def utilisation(
    model: PoiseForConditionalGeneration, samples: Sequence[TokenSample], rate: float
) -> dict[str, Any]:
    """Model-FLOPs utilisation at `rate` tokens a second; nothing where the peak is not known."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    if peak is None:
        return {"mfu": None}
    lengths = np.array([len(s.ids) for s in samples])
    mean = float((lengths**2).sum() / lengths.sum())  # context of the average token
    return {"mfu": rate * flops_per_token(model, mean) / peak, "peak_flops": peak}


def flops_per_token(model: PoiseForConditionalGeneration, context: float) -> float:
    """Forward and backward of one token: 6 for each weight that multiplies, and attention's own.

    Attention multiplies queries with keys and weights with values: 12 x layers x width x context,
    of which the causal mask leaves half (Chowdhery et al. 2022, appendix B).
    """
    text = model.config.text_config
    head = text.vocab_size * text.hidden_size
    inner = sum(p.numel() for p in model.language_model.model.layers.parameters())
    return 6.0 * (inner + head) + 6.0 * text.num_hidden_layers * text.hidden_size * context
