"""Upload an exported checkpoint to the model hub."""

from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import PoiseError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd


def push_folder(folder: Path, name: str) -> str:
    """Make the repository `name` (private, if it is new) and upload every file of `folder`.

    Raises:
        PoiseError: nothing to upload, or the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import httpx  # the one whose errors the hub's client raises

    operations = push_operations(folder)  # before anything is made on the hub
    try:
        hub = HfApi()
        address = hub.create_repo(name, private=True, exist_ok=True)
        hub.create_commit(name, operations, commit_message="Upload a Poise checkpoint")
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as fault:
        raise PoiseError(
            f"cannot upload {folder} to {name}",
            got=str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__,
            remedy="log in by `hf auth login`, with the right to write there; the folder is whole",
        ) from fault
    return str(address)


def push_operations(folder: Path) -> "list[CommitOperationAdd]":
    """One upload for each file of an exported checkpoint.

    Raises:
        PoiseError: the folder has no model card or no weights.
    """
    from huggingface_hub import CommitOperationAdd

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    if "README.md" not in names or not any(name.endswith(".safetensors") for name in names):
        raise PoiseError(
            f"nothing to upload in {folder}",
            got=f"{len(names)} files, no model card or no weights among them",
            expected="a folder that `poise train export` wrote",
        )
    return [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=path)
        for name, path in zip(names, files, strict=True)
    ]
