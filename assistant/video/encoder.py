"""Video encoders by name: a few frames of each view in, one feature vector a view out.

`timesformer`, `videomae` and `vjepa2` are the models of transformers, small ones trained here or
full-size checkpoints, by the same code; `precomputed` reads features that others have extracted
(`assistant/video/precomputed.py`). All are frozen. The feature of a view is the mean of its patch
tokens after the last layer norm, not the [CLS] token: VideoMAE and V-JEPA 2 have none, and the
same tokens averaged per frame serve the prototype dynamics (DESIGN section 4). Views are encoded
in parallel, flattened into the batch (ProfVLM section 3.2).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transformers
from torch import nn
from torch.nn import functional

from assistant.errors import PoiseError
from assistant.video.normality import Normality

SETTINGS_FILE: Final = "video_encoder.json"
BACKBONE_FOLDER: Final = "backbone"
NORMALITY_FILE: Final = "normality.safetensors"
FILM_SIDE: Final = 320
# A dense film enters by every second frame (see `VideoEncoder.encode_dense`).
DENSE_STRIDE: Final = 2
# Settings of a backbone that say where it is from or how it runs, not what it computes.
UNHASHED: Final = frozenset(
    ("_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype")
)


@dataclass(frozen=True)
class Family:
    """What differs between the video models of transformers.

    Attributes:
        model: name of the transformers class; its `config_class` gives the configuration.
        size_key: the configuration's name for the side of its pictures.
        frames_key: the configuration's name for the number of frames.
        mean: of RGB in 0..1, subtracted; std: divided by afterwards.
        shortest: the shortest edge is resized to this multiple of the side before the crop.
        class_token: whether token 0 is a [CLS] token.
        patch_major: whether tokens run over time within a patch (else over patches within a time).
        pixels: the forward method's name for its input.
        options: further arguments of the forward method.
    """

    model: str
    size_key: str = "image_size"
    frames_key: str = "num_frames"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    shortest: float = 1.0
    class_token: bool = False
    patch_major: bool = False
    pixels: str = "pixel_values"
    options: tuple[tuple[str, Any], ...] = ()


# TimeSformer: ProfVLM section 4.2. The others: the processors of their published checkpoints.
FAMILIES: Final = {
    "timesformer": Family(
        "TimesformerModel",
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
        class_token=True,
        patch_major=True,
    ),
    "videomae": Family("VideoMAEModel"),
    "vjepa2": Family(
        "VJEPA2Model",
        size_key="crop_size",
        frames_key="frames_per_clip",
        shortest=292 / 256,
        pixels="pixel_values_videos",
        options=(("skip_predictor", True),),
    ),
}


def family_of(name: str) -> Family:
    """The family of an encoder's name; raises PoiseError with the known names."""
    if name not in FAMILIES:
        known = ", ".join((*FAMILIES, "precomputed"))
        raise PoiseError("unknown video encoder", got=repr(name), expected=known)
    return FAMILIES[name]


class VideoEncoder(nn.Module):
    """A frozen video model with its preprocessing and its in-distribution test.

    Args:
        name: a key of `FAMILIES`.
        backbone: the transformers model of that family.
        normality: the test of `in_distribution`; None where any film is welcome.
    """

    def __init__(self, name: str, backbone: nn.Module, normality: Normality | None = None) -> None:
        super().__init__()
        self.name = name
        self.family = family_of(name)
        self.backbone = backbone
        self.normality = normality
        config: Any = backbone.config
        self.size: int = getattr(config, self.family.size_key)
        self.frames: int = getattr(config, self.family.frames_key)
        self.width: int = config.hidden_size

    @classmethod
    def from_config(cls, name: str, **settings: Any) -> "VideoEncoder":
        """An untrained encoder; `settings` go to the family's configuration class."""
        model: Any = getattr(transformers, family_of(name).model)
        return cls(name, model(model.config_class(**settings)))

    @classmethod
    def from_backbone(cls, name: str, source: str | Path) -> "VideoEncoder":
        """A published checkpoint by hub name or folder, frozen.

        Example: `from_backbone("timesformer", "facebook/timesformer-base-finetuned-k600")`.
        Raises PoiseError where it cannot be loaded or has other weights than the family's.
        """
        model: Any = getattr(transformers, family_of(name).model)
        try:
            kind = transformers.AutoConfig.from_pretrained(str(source)).model_type
            if kind != model.config_class.model_type:
                raise PoiseError(f"{source} is no checkpoint of {name!r}", got=f"a {kind} model")
            backbone, report = model.from_pretrained(str(source), output_loading_info=True)
        except (OSError, ValueError) as fault:
            raise PoiseError(
                f"cannot load video encoder {name!r}",
                got=f"{source}: {str(fault).splitlines()[0]}",
                expected="a folder with config.json and model.safetensors, or a hub name",
                remedy="download the checkpoint and give its folder",
            ) from fault
        if report["missing_keys"]:
            missing = sorted(report["missing_keys"])
            raise PoiseError(
                f"{source} is no checkpoint of {name!r}",
                got=f"{len(missing)} weights missing, the first {missing[0]}",
            )
        return cls(name, backbone).freeze()

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "VideoEncoder":
        """What `save_pretrained` wrote, frozen."""
        folder = Path(folder)
        settings = folder / SETTINGS_FILE
        if not settings.is_file():
            raise PoiseError("no video encoder", got=str(folder), expected=f"a {SETTINGS_FILE}")
        name = json.loads(settings.read_text())["name"]
        encoder = cls.from_backbone(name, folder / BACKBONE_FOLDER)
        if (folder / NORMALITY_FILE).is_file():
            encoder.normality = Normality.load(folder / NORMALITY_FILE)
        return encoder

    def save_pretrained(self, folder: str | Path) -> None:
        """Write backbone (transformers format), settings and in-distribution test (safetensors)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        backbone: Any = self.backbone
        backbone.save_pretrained(folder / BACKBONE_FOLDER)
        (folder / SETTINGS_FILE).write_text(json.dumps({"name": self.name}, indent=2) + "\n")
        if self.normality is not None:
            self.normality.save(folder / NORMALITY_FILE)

    @property
    def film_side(self) -> int:
        """Longest side at which films are read: the crop is not enlarged up to a shape of 2:1."""
        return max(FILM_SIDE, 2 * round(self.family.shortest * self.size))

    def sha256(self) -> str:
        """Of everything that decides a film's features: weights, configuration, frame sampling.

        The same for the same encoder on any machine, wherever it was loaded from.
        """
        config: Any = self.backbone.config
        settings = {key: value for key, value in config.to_dict().items() if key not in UNHASHED}
        sampling = {"frames": self.frames, "times": "middles", "film_side": self.film_side}
        record = {"family": asdict(self.family), "config": settings, "sampling": sampling}
        digest = hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode())
        for name, tensor in sorted(self.backbone.state_dict().items()):
            array = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
            digest.update(array.flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def freeze(self) -> "VideoEncoder":
        """Evaluation mode, no gradients; returns itself."""
        self.requires_grad_(False)
        return self.eval()

    def preprocess(self, frames: np.ndarray) -> torch.Tensor:
        """Shortest edge resized, centre cropped, scaled to 0..1, normalised.

        uint8 [T, H, W, 3] -> float32 [T, 3, S, S].
        """
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
            raise ValueError(f"frames {frames.dtype} {frames.shape}, expected uint8 [T, H, W, 3]")
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
        height, width = pixels.shape[-2:]
        shortest = round(self.family.shortest * self.size)
        if min(height, width) != shortest:
            scale = shortest / min(height, width)
            target = (max(round(height * scale), shortest), max(round(width * scale), shortest))
            pixels = functional.interpolate(
                pixels, target, mode="bilinear", antialias=True, align_corners=False
            )
        top = (pixels.shape[-2] - self.size) // 2
        left = (pixels.shape[-1] - self.size) // 2
        pixels = pixels[..., top : top + self.size, left : left + self.size]
        return self.normalise(pixels)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """RGB in 0..1 [..., 3, S, S] -> the backbone's scale."""
        mean = torch.tensor(self.family.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.family.std, device=pixels.device).view(3, 1, 1)
        return (pixels - mean) / std

    def tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        """Patch tokens [B, T', P, D] of preprocessed pixels [B, T, 3, S, S].

        T' = T, or T / 2 where the family reads frames in pairs.
        """
        if pixels.shape[1] != self.frames:
            raise ValueError(f"{pixels.shape[1]} frames, the encoder takes {self.frames}")
        arguments = {self.family.pixels: pixels, **dict(self.family.options)}
        states = self.backbone(**arguments).last_hidden_state  # [B, (1 +) P * T', D]
        if self.family.class_token:
            states = states[:, 1:]
        steps = self.frames // getattr(self.backbone.config, "tubelet_size", 1)
        patches = states.shape[1] // steps
        if self.family.patch_major:
            return states.unflatten(1, (patches, steps)).transpose(1, 2)
        return states.unflatten(1, (steps, patches))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features [B, D] of preprocessed pixels [B, T, 3, S, S]."""
        return self.tokens(pixels).mean(dim=(1, 2))

    @torch.inference_mode()
    def encode_frames(
        self, views: np.ndarray | Sequence[np.ndarray], *, batch_size: int = 16
    ) -> np.ndarray:
        """Per-frame features [V, T', D] float32 of films, uint8 [T, H, W, 3] each.

        The films may differ in size; each has the encoder's number of frames. V may be 0.
        """
        device = next(self.backbone.parameters()).device
        parts = []
        for start in range(0, len(views), batch_size):
            batch = [self.preprocess(view) for view in views[start : start + batch_size]]
            parts.append(self.tokens(torch.stack(batch).to(device)).mean(dim=2).float().cpu())
        if not parts:
            return np.zeros((0, self.frames, self.width), np.float32)
        return torch.cat(parts).numpy()

    def encode(
        self, views: np.ndarray | Sequence[np.ndarray], *, batch_size: int = 16
    ) -> np.ndarray:
        """Features [V, D] float32 of films, uint8 [T, H, W, 3] each: one vector a view."""
        return self.encode_frames(views, batch_size=batch_size).mean(axis=1)

    def encode_dense(self, film: np.ndarray) -> np.ndarray:
        """Features [F, D] of every frame of a film, uint8 [F, H, W, 3] at a dense rate.

        The encoder's input spans every second frame, twice as many seconds as a run of frames: at
        10 fps eight frames last 1.6 s, near what it was trained on. The last input overlaps the
        one before it; a film shorter than an input repeats its last frame.
        """
        reach = DENSE_STRIDE * self.frames
        padded = film
        if len(film) < reach:
            padded = np.concatenate([film, np.repeat(film[-1:], reach - len(film), axis=0)])
        starts = [*range(0, len(padded) - reach, reach), len(padded) - reach]
        places = np.array(
            [
                start + phase + DENSE_STRIDE * np.arange(self.frames)
                for start in starts
                for phase in range(DENSE_STRIDE)
            ]
        )  # [inputs, T]
        encoded = self.encode_frames([padded[row] for row in places])  # [inputs, T', D]
        each = self.frames // encoded.shape[1]  # frames that share a feature
        found = np.empty((len(padded), self.width), np.float32)
        for row, features in zip(places, encoded, strict=True):
            found[row] = np.repeat(features, each, axis=0)
        return found[: len(film)]

    def in_distribution(self, features: np.ndarray) -> np.ndarray:
        """Which features [V, D] look like those of training footage, bool [V].

        All where the encoder carries no test (published checkpoints have seen real films).
        """
        if self.normality is None:
            return np.ones(len(features), bool)
        return self.normality.accepts(features)
