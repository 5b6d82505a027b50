"""Where a checkpoint's parts lie, and the hashes that name it in results."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import PoiseError

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
DEFAULT_NAME = "poise-mini"
LANGUAGE_FOLDER = "language"
LIBRARY_FOLDER = "library"
CARD_FILE = "checkpoint.json"
# What training leaves in a run folder beside the checkpoint; it is not shipped.
WORK_FOLDER = "work"
# LoRA adapters that belong over the language model, and that model without the adapter that is
# merged in the checkpoint: no parts of the checkpoint either, but shipped beside it.
ADAPTERS_FOLDER, UNMERGED_FOLDER = "adapters", "unmerged"
BESIDE = (WORK_FOLDER, ADAPTERS_FOLDER, UNMERGED_FOLDER)


@dataclass(frozen=True)
class Checkpoint:
    """One folder with all parts; `level_basis` says what its levels were learned from."""

    folder: Path
    name: str
    level_basis: str

    @classmethod
    def open(cls, folder: Path | None = None) -> "Checkpoint":
        """The checkpoint in `folder`, by default the one that ships with Poise."""
        folder = WEIGHTS_FOLDER / DEFAULT_NAME if folder is None else folder
        card = folder / CARD_FILE
        if not card.is_file():
            raise PoiseError(
                f"no checkpoint in {folder}",
                got=f"no {CARD_FILE}",
                expected="a folder that `poise train` wrote",
                remedy="train one with `poise train mini`, or give another folder by --model",
            )
        try:
            settings = json.loads(card.read_text("utf-8"))
            return cls(folder, settings["name"], settings["level_basis"])
        except (ValueError, KeyError, TypeError) as fault:
            raise PoiseError(
                f"the checkpoint in {folder} is damaged",
                got=f"{CARD_FILE}: {fault!r}",
                expected="JSON with name and level_basis",
                remedy="copy or train it again",
            ) from fault

    def write(self) -> None:
        """Write the card that makes the folder a checkpoint."""
        settings = {"name": self.name, "level_basis": self.level_basis}
        (self.folder / CARD_FILE).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")

    def sha256(self) -> str:
        """One hash over the names and bytes of every file of the checkpoint.

        Its card for readers (.md), training's work folder and adapters do not count, so that a
        checkpoint keeps its name when it is moved out of its run.
        """
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder)
            if path.is_file() and path.suffix != ".md" and name.parts[0] not in BESIDE:
                digest.update(name.as_posix().encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()
