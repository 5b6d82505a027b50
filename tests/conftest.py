"""Test tiers: what a machine cannot run is skipped with its reason; --no-skips fails the rest."""

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

NO_SHARED = "no ../shared/data beside the repository"
NO_GPU = "no CUDA device"
# Reasons that are facts of the machine; every other skip is a failure under --no-skips.
DOCUMENTED = (NO_SHARED, NO_GPU)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail every skipped test, except for a documented lack of the machine",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    has_shared = (SHARED / "data").is_dir()
    has_gpu = shutil.which("nvidia-smi") is not None
    for item in items:
        if item.get_closest_marker("real") and not has_shared:
            item.add_marker(pytest.mark.skip(reason=NO_SHARED))
        if item.get_closest_marker("gpu") and not has_gpu:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip without a documented reason into a failure that names the reason."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(reason.endswith(known) for known in DOCUMENTED):
        report.outcome = "failed"
        report.longrepr = f"skipped under --no-skips: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--no-skips"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--no-skips"):
        _fail_if_skipped(report)
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that use it carry the marker `real`."""
    if not (SHARED / "data").is_dir():
        pytest.skip(NO_SHARED)
    return SHARED / "data"


@pytest.fixture(scope="session")
def beam_take(shared_data: Path):  # type: ignore[no-untyped-def]
    """The real take on the beam, triangulated from its four films (50 frames, some 15 s)."""
    from assistant.clip_input import load_cameras, load_clip
    from assistant.pose.multiview import detect_views, triangulate_views

    folder = shared_data / "video"
    views = {f"exo{i}": folder / f"multiview_cam0{i}.mp4" for i in range(1, 5)}
    cameras = load_cameras(load_clip(None, views, None), folder / "multiview_calibration.qca.txt")
    return triangulate_views(detect_views(views), cameras)


@pytest.fixture
def two_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray cluster of two nodes, each with one CPU, thus room for one worker."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    # Else Ray's workers yield to whatever else wants this machine's cores.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    # Else the worker that starts first can do all the few pieces while the other still imports.
    monkeypatch.setenv("RAY_DATA_DEFAULT_WAIT_FOR_MIN_ACTORS_S", "300")
    node = {"num_cpus": 1, "object_store_memory": 100_000_000}
    head = node | {"include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


CHROMIUM = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)
# Nothing of the browser itself may ask for anything on the network.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium under playwright; its tests carry the marker `browser`."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


CODES = 16
"""Entries of the pose codebook of the tests' tokenizer and models."""


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of few pieces, as the language stage writes it."""
    from prompts.parse import ParsedRemark, format_feedback
    from prompts.render import render_messages
    from prompts.vocabulary import LEVELS, REGIONS, REGIONS_TOKEN, SCORE
    from training.tokenizer import train_tokenizer

    texts = [
        format_feedback(
            level,
            [ParsedRemark(region, polarity, f"Keep the {region} {how} over the floor.")],
            f"Practise {how} squats.",
        )
        for level in LEVELS
        for region in REGIONS
        for polarity in ("needs_improvement", "correct")
        for how in ("slow", "deep", "steady")
    ]
    prompt = render_messages(
        "commentary", frames=8, n_video=1, n_pose=1, n_stage1=1, score=SCORE, regions=REGIONS_TOKEN
    )
    folder = tmp_path_factory.mktemp("tokenizer")
    texts += [message["content"] for message in prompt]
    train_tokenizer(texts, folder, vocabulary=360, codebook_size=CODES)
    return folder


@pytest.fixture(scope="session")
def processor(tokenizer_folder: Path):  # type: ignore[no-untyped-def]
    """The processor over that tokenizer."""
    from assistant.model.processing_poise import PoiseProcessor

    return PoiseProcessor.from_pretrained(tokenizer_folder)


@pytest.fixture(scope="session")
def make_model(processor):  # type: ignore[no-untyped-def]
    """A maker of tiny random models whose answers vary: their embeddings are large.

    Two layers of width 32; features of width 12 (video), 7 (pose), 5 (Stage 1); three pose codes a
    frame, four frames. Keyword arguments change settings of the configuration.
    """
    import torch
    from transformers import LlamaConfig, PreTrainedConfig

    from assistant.model.configuration_poise import PoiseConfig
    from assistant.model.modeling_poise import PoiseForConditionalGeneration
    from prompts.vocabulary import PLACEHOLDERS, POSE_FRAME_END, POSE_SEQUENCE_END, pose_code

    tokenizer = processor.tokenizer
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
        for name, token in PLACEHOLDERS.items()
    }

    def make(
        seed: int = 0,
        *,
        tied: bool = True,
        text_class: type[PreTrainedConfig] = LlamaConfig,
        text: dict[str, object] | None = None,
        **settings: object,
    ) -> PoiseForConditionalGeneration:
        text_settings: dict[str, object] = {
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "tie_word_embeddings": tied,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        text_config = text_class(**(text_settings | (text or {})))
        chosen = {
            "projector_hidden": 16,
            "video_size": 12,
            "pose_size": 7,
            "stage1_size": 5,
            "mapper_hidden": 16,
            "codebook_size": CODES,
            "tokens_per_frame": 3,
            "correction_frames": 4,
            "pose_code_start": tokenizer.convert_tokens_to_ids(pose_code(0)),
            "pose_frame_end_id": tokenizer.convert_tokens_to_ids(POSE_FRAME_END),
            "pose_sequence_end_id": tokenizer.convert_tokens_to_ids(POSE_SEQUENCE_END),
            **settings,
        }
        torch.manual_seed(seed)
        model = PoiseForConditionalGeneration(PoiseConfig(text_config=text_config, **ids, **chosen))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if (
                    "embed_tokens" in name
                    or "lm_head" in name
                    or "scale" in name
                    or "shift" in name
                ):
                    parameter.normal_(0.0, 0.5)
                elif parameter.ndim > 1:
                    parameter.normal_(0.0, 0.3)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def make_inputs():  # type: ignore[no-untyped-def]
    """A maker of random features for the models of `make_model`, any of them left out."""
    import numpy as np

    from assistant.model.processing_poise import ModelInputs

    def make(
        seed: int = 0,
        *,
        video: int = 2,
        pose: int = 4,
        stage1: int = 3,
        score: bool = True,
        regions: bool = True,
    ) -> ModelInputs:
        rng = np.random.default_rng(seed)

        def rows(count: int, size: int) -> np.ndarray | None:
            return rng.normal(size=(count, size)).astype(np.float32) if count else None

        return ModelInputs(
            video=rows(video, 12),
            pose=rows(pose, 7),
            stage1=rows(stage1, 5),
            score=rng.normal(size=14).astype(np.float32) if score else None,
            regions=rng.normal(size=18).astype(np.float32) if regions else None,
        )

    return make
