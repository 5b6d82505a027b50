"""The 3D pose tokenizer: one body becomes a few codes of one shared codebook, and back.

After PCT (Geng et al., "Human Pose as Compositional Tokens", CVPR 2023), in 3D as in ExpertAF
section 4: joint features -> M tokens -> nearest codes of a shared codebook -> decoder. Two
bodies: "mixer" as in the paper and "mlp", a flat residual network that learns more per CPU minute.
Input and output are metres, root-centred and heading-normalised; sizes are kept, since an error
in millimetres counts the person's own bones. `training/pose_tokenizer.py` trains it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from assistant.errors import PoiseError
from assistant.pose.codebook import Codebook
from assistant.skeleton import N_JOINTS

KINDS: Final = ("mlp", "mixer")
CONFIG_NAME: Final = "config.json"
WEIGHTS_NAME: Final = "model.safetensors"


@dataclass(frozen=True)
class PoseTokenizerConfig:
    """Architecture of the tokenizer, saved beside its weights; all faults are reported at once."""

    kind: str = "mlp"
    tokens_per_frame: int = 8
    codebook_size: int = 256
    code_dim: int = 4
    encoder_width: int = 320
    encoder_blocks: int = 2
    encoder_token_width: int = 64
    encoder_channel_width: int = 320
    decoder_width: int = 320
    decoder_blocks: int = 2
    decoder_token_width: int = 64
    decoder_channel_width: int = 320

    def __post_init__(self) -> None:
        faults = [] if self.kind in KINDS else [f"kind {self.kind!r}, expected {', '.join(KINDS)}"]
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name.endswith("_blocks") else 1
            if field.name != "kind" and (not isinstance(value, int) or value < least):
                faults.append(f"{field.name} {value!r}, expected an integer of at least {least}")
        if faults:
            raise PoiseError("wrong pose tokenizer configuration", got="; ".join(faults))

    @classmethod
    def paper(cls) -> "PoseTokenizerConfig":
        """The sizes of PCT's published configuration (configs/pct_base_tokenizer.py)."""
        return cls(
            kind="mixer",
            tokens_per_frame=34,
            codebook_size=2048,
            code_dim=512,
            encoder_width=512,
            encoder_blocks=4,
            encoder_token_width=64,
            encoder_channel_width=512,
            decoder_width=32,
            decoder_blocks=1,
            decoder_token_width=64,
            decoder_channel_width=64,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PoseTokenizerConfig":
        """From a loaded config.json; unknown keys are an error that lists the known ones."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise PoiseError(
                "unknown keys in a pose tokenizer configuration",
                got=", ".join(unknown),
                expected=", ".join(known),
            )
        return cls(**values)


class MixerBlock(nn.Module):
    """Mix over tokens, then over channels (MLP-Mixer), each with a residual."""

    def __init__(self, tokens: int, width: int, token_width: int, channel_width: int) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(width)
        self.token_mlp = _mlp(tokens, token_width, tokens)
        self.channel_norm = nn.LayerNorm(width)
        self.channel_mlp = _mlp(width, channel_width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token_mlp(self.token_norm(x).transpose(1, 2)).transpose(1, 2)  # [B, T, W]
        return x + self.channel_mlp(self.channel_norm(x))


class ResidualBlock(nn.Module):
    """Pre-norm residual MLP on a flat body."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = _mlp(width, inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(x))


class MixerEncoder(nn.Module):
    """[B, 17, 3] -> [B, M, D] as PCT: embed each joint, mix, then joints -> tokens."""

    def __init__(self, c: PoseTokenizerConfig) -> None:
        super().__init__()
        sizes = (N_JOINTS, c.encoder_width, c.encoder_token_width, c.encoder_channel_width)
        self.start = nn.Linear(3, c.encoder_width)
        self.blocks = nn.Sequential(*[MixerBlock(*sizes) for _ in range(c.encoder_blocks)])
        self.norm = nn.LayerNorm(c.encoder_width)
        self.tokens = nn.Linear(N_JOINTS, c.tokens_per_frame)
        self.embed = nn.Linear(c.encoder_width, c.code_dim)

    def forward(self, joints: Tensor) -> Tensor:
        x = self.norm(self.blocks(self.start(joints)))  # [B, 17, W]
        return self.embed(self.tokens(x.transpose(1, 2)).transpose(1, 2))  # [B, M, D]


class MixerDecoder(nn.Module):
    """[B, M, D] -> [B, 17, 3]: tokens -> joints, mix, then coordinates."""

    def __init__(self, c: PoseTokenizerConfig) -> None:
        super().__init__()
        sizes = (N_JOINTS, c.decoder_width, c.decoder_token_width, c.decoder_channel_width)
        self.joints = nn.Linear(c.tokens_per_frame, N_JOINTS)
        self.start = nn.Linear(c.code_dim, c.decoder_width)
        self.blocks = nn.Sequential(*[MixerBlock(*sizes) for _ in range(c.decoder_blocks)])
        self.norm = nn.LayerNorm(c.decoder_width)
        self.end = nn.Linear(c.decoder_width, 3)

    def forward(self, vectors: Tensor) -> Tensor:
        x = self.start(self.joints(vectors.transpose(1, 2)).transpose(1, 2))  # [B, 17, W]
        return self.end(self.norm(self.blocks(x)))


class MlpEncoder(nn.Module):
    """[B, 17, 3] -> [B, M, D]: one flat body through residual blocks."""

    def __init__(self, c: PoseTokenizerConfig) -> None:
        super().__init__()
        sizes = (c.encoder_width, c.encoder_channel_width)
        self.start = nn.Linear(N_JOINTS * 3, c.encoder_width)
        self.blocks = nn.Sequential(*[ResidualBlock(*sizes) for _ in range(c.encoder_blocks)])
        self.norm = nn.LayerNorm(c.encoder_width)
        self.end = nn.Linear(c.encoder_width, c.tokens_per_frame * c.code_dim)
        self.shape = (c.tokens_per_frame, c.code_dim)

    def forward(self, joints: Tensor) -> Tensor:
        x = self.norm(self.blocks(self.start(joints.flatten(1))))  # [B, W]
        return self.end(x).reshape(-1, *self.shape)  # [B, M, D]


class MlpDecoder(nn.Module):
    """[B, M, D] -> [B, 17, 3]: all code vectors flat through residual blocks."""

    def __init__(self, c: PoseTokenizerConfig) -> None:
        super().__init__()
        sizes = (c.decoder_width, c.decoder_channel_width)
        self.start = nn.Linear(c.tokens_per_frame * c.code_dim, c.decoder_width)
        self.blocks = nn.Sequential(*[ResidualBlock(*sizes) for _ in range(c.decoder_blocks)])
        self.norm = nn.LayerNorm(c.decoder_width)
        self.end = nn.Linear(c.decoder_width, N_JOINTS * 3)

    def forward(self, vectors: Tensor) -> Tensor:
        x = self.blocks(self.start(vectors.flatten(1)))  # [B, W]
        return self.end(self.norm(x)).reshape(-1, N_JOINTS, 3)


class PoseTokenizer(nn.Module):
    """Bodies to codes and back; see the module's head.

    `mean` [17, 3] and `spread` (metres, of the training bodies) put the networks' numbers near
    1 and are saved with the weights.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: PoseTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        mixer = config.kind == "mixer"
        self.encoder = MixerEncoder(config) if mixer else MlpEncoder(config)
        self.decoder = MixerDecoder(config) if mixer else MlpDecoder(config)
        self.codebook = Codebook(config.codebook_size, config.code_dim)
        self.register_buffer("mean", torch.zeros(N_JOINTS, 3))
        self.register_buffer("spread", torch.ones(()))

    @property
    def tokens_per_frame(self) -> int:
        """Codes of one frame, M."""
        return self.config.tokens_per_frame

    @property
    def codebook_size(self) -> int:
        """Number of codes, K."""
        return self.config.codebook_size

    def encode(self, joints: Tensor) -> Tensor:
        """Root-centred heading-normalised metres [B, 17, 3] -> embeddings [B, M, D]."""
        return self.encoder((joints - self.mean) / self.spread)

    def quantise(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [B, M, D] -> nearest codes [B, M] int64 and their vectors [B, M, D]."""
        codes = self.codebook.nearest(embeddings)
        return codes, self.codebook.lookup(codes)

    def decode(self, vectors: Tensor) -> Tensor:
        """Code vectors [B, M, D] -> joints [B, 17, 3] in metres."""
        return self.decoder(vectors) * self.spread + self.mean

    def tokenise(self, joints: Tensor) -> Tensor:
        """Joints [B, 17, 3] -> codes [B, M] int64."""
        return self.quantise(self.encode(joints))[0]

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes [B, M] -> joints [B, 17, 3].

        Raises:
            PoiseError: a code outside 0..K-1 or a wrong number of codes a frame.
        """
        if codes.ndim != 2 or codes.shape[1] != self.tokens_per_frame:
            raise PoiseError(
                "pose codes of a wrong shape",
                got=str(tuple(codes.shape)),
                expected=f"[frames, {self.tokens_per_frame}]",
            )
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise PoiseError(
                "pose code outside the codebook",
                got=f"{int(codes.min())}..{int(codes.max())}",
                expected=f"0..{self.codebook_size - 1}",
            )
        return self.decode(self.codebook.lookup(codes))

    def decode_soft(self, probabilities: Tensor) -> Tensor:
        """Expected code vectors under [B, M, K] (rows sum to 1) -> joints [B, 17, 3]."""
        return self.decode(probabilities.to(self.codebook.vectors.dtype) @ self.codebook.vectors)

    def reconstruct(self, joints: Tensor) -> Tensor:
        """Joints [B, 17, 3] through the codes and back."""
        return self.decode(self.quantise(self.encode(joints))[1])

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors into `folder` (made when missing)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.config), indent=2) + "\n"
        (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, folder / WEIGHTS_NAME)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "PoseTokenizer":
        """Read what `save_pretrained` wrote; in eval mode.

        Raises:
            PoiseError: a file is missing, or the weights do not fit the configuration.
        """
        folder = Path(folder)
        for name in (CONFIG_NAME, WEIGHTS_NAME):
            if not (folder / name).is_file():
                raise PoiseError(
                    f"no pose tokenizer in {folder}",
                    expected=f"{CONFIG_NAME} and {WEIGHTS_NAME}",
                    remedy="train one with `poise train mini --stage pose_tokenizer`",
                )
        config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
        tokenizer = cls(PoseTokenizerConfig.from_dict(config))
        try:
            tokenizer.load_state_dict(load_file(folder / WEIGHTS_NAME))
        except RuntimeError as error:
            raise PoiseError(
                f"weights in {folder} do not fit {CONFIG_NAME}", got=str(error)
            ) from error
        return tokenizer.eval()


def _mlp(width: int, inner: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, out))
