"""The command `poise`: finds its sub-apps in a lazy table, so that help is instant.

Run it as `poise --help` or `python -m assistant.cli --help`. A sub-app is any object that is
called with `args=[...]` and `prog_name="poise NAME"` as typer and click apps are; its module is
imported only when its name is asked for.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from assistant import __version__
from assistant.errors import PoiseError

DONE: Final = 0
CANNOT: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

# name: ("module:object", what it does in one line)
COMMANDS: Final = {
    "coach": ("assistant.coach_cli:app", "Coach one or several clips: videos or pose files."),
    "batch": ("assistant.batch_cli:app", "Coach every clip of a dataset."),
    "demos": ("assistant.demos.cli:app", "Build, grow, list and search expert libraries."),
    "chat": ("assistant.chat_cli:app", "Ask about a clip in the terminal."),
    "serve": ("assistant.serving.cli:app", "Serve chats about clips over HTTP."),
    "data": ("data_prep.cli:app", "Make and check data sets."),
    "train": ("training.cli:app", "Train a recipe's stages."),
    "eval": ("eval.cli:app", "Measure a model, with its floors beside it."),
    "bench": ("assistant.bench_cli:app", "Time a part beside the usual way to do it."),
}


def usage() -> str:
    """The help text, one line a command."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: poise COMMAND [ARGUMENTS]...",
            "",
            "Watches a person do a physical skill and coaches them.",
            "",
            "Commands:",
            *lines,
            "",
            "Options:",
            "  --version  Print the version.",
            "  --help     Print this text; `poise COMMAND --help` tells more.",
        ]
    )


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Import the sub-app `name` and run it; returns the exit code."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    app = getattr(import_module(module), attribute)
    try:
        app(args=list(arguments), prog_name=f"poise {name}")
    except PoiseError as error:
        print(f"poise: {error}", file=sys.stderr)
        return CANNOT
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as stop:
        return _exit_code(stop.code)
    return DONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `poise`; exit code 0 done, 1 cannot (one line), 2 usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments:
        print(usage(), file=sys.stderr)
        return USAGE
    name, *rest = arguments
    if name in ("-h", "--help", "help"):
        print(usage())
        return DONE
    if name in ("-V", "--version"):
        print(f"poise {__version__}")
        return DONE
    if name not in COMMANDS:
        what = "option" if name.startswith("-") else "command"
        known = ", ".join(COMMANDS)
        print(f"poise: unknown {what} {name!r}; known commands: {known}", file=sys.stderr)
        return USAGE
    return run_command(name, rest)


def _exit_code(code: object) -> int:
    """What the shell would see for `SystemExit(code)`."""
    if code is None:
        return DONE
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)
    return CANNOT


if __name__ == "__main__":
    sys.exit(main())
