"""`poise bench startup`: `poise --help` and `import assistant`, each in fresh processes.

Beside them `python -c pass`, the floor that no command written in Python gets under, `import
transformers` alone, and what each would take if Poise imported its parts at once, as most such
packages do (`import assistant.coach`: torch, transformers and the rest). Files are in the system's
cache: a round of everything goes first and is not counted.
"""

import subprocess
import sys
from functools import partial
from typing import Any, Final

from assistant.bench import Aim, compared, in_turns

ROUNDS: Final = 7
HELP_SECONDS: Final = 0.5
IMPORT_SECONDS: Final = 0.3
OURS: Final = {
    "poise --help": ["-m", "assistant.cli", "--help"],
    "import assistant": ["-c", "import assistant"],
}
OTHERS: Final = {
    "python -c pass (the floor)": ["-c", "pass"],
    "import transformers": ["-c", "import transformers"],
    "import assistant.coach (all parts at once)": ["-c", "import assistant.coach"],
}


def run() -> dict[str, Any]:
    """Wall seconds of a process from its start to its end."""
    works = [partial(_process, arguments) for arguments in (*OURS.values(), *OTHERS.values())]
    in_turns(works, 1)
    helped, imported, *others = in_turns(works, ROUNDS)
    beside = dict(zip(OTHERS, others, strict=True))
    limits = (HELP_SECONDS, IMPORT_SECONDS)
    found = [
        compared(times, beside, ours_is=name, unit="s", aims=[Aim("ours", "at_most", limit)])
        for name, times, limit in zip(OURS, (helped, imported), limits, strict=True)
    ]
    return {"measured": "help", **found[0], "parts": {"import": found[1]}}


def _process(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
