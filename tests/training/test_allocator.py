"""`poise train` starts itself again on tcmalloc, if that is there and LD_PRELOAD is not set."""

import os
import subprocess
import sys
from ctypes.util import find_library

import pytest

from training.allocator import (
    C_LIBRARY,
    PACKAGE,
    PRELOAD,
    TCMALLOC,
    allocator_in_use,
    restart_on_tcmalloc,
)

INSTALLED = find_library("tcmalloc_minimal")
# What the command does first, and what it then runs on; {} stands for what a test changes before.
PROGRAM = """
from training import allocator
{}
allocator.restart_on_tcmalloc()
import sys
print(allocator.allocator_in_use(), *sys.argv[1:])
"""
MISSING = "allocator.find_library = lambda name: None"


def ran(folder, name, changed="", **environment):
    program = folder / name
    program.write_text(PROGRAM.format(changed))
    clean = {k: v for k, v in os.environ.items() if k != PRELOAD} | environment
    clean["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, str(program), "mini", "threads=1"],
        env=clean,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip(), done.stderr


def test_the_same_command_runs_on_what_the_machine_has(tmp_path):
    expected = TCMALLOC if INSTALLED else C_LIBRARY
    assert ran(tmp_path, "poise")[0] == f"{expected} mini threads=1"


def test_without_tcmalloc_it_goes_on_and_says_what_to_install(tmp_path):
    said, hint = ran(tmp_path, "cli.py", MISSING)
    assert said == f"{C_LIBRARY} mini threads=1"
    assert PACKAGE in hint


@pytest.mark.parametrize(("name", "environment"), [("poise", {PRELOAD: ""}), ("notebook.py", {})])
def test_a_preload_of_ones_own_and_another_program_stay_as_they_are(tmp_path, name, environment):
    assert ran(tmp_path, name, **environment) == (f"{C_LIBRARY} mini threads=1", "")


def test_inside_another_program_nothing_is_restarted():
    before = os.environ.get(PRELOAD)
    restart_on_tcmalloc()  # would replace pytest itself
    assert os.environ.get(PRELOAD) == before
    assert allocator_in_use() in (TCMALLOC, C_LIBRARY)
