"""`poise train` starts itself again on tcmalloc, if that is there and LD_PRELOAD is not set."""

import os
import subprocess
import sys
from ctypes.util import find_library

import pytest

from training.allocator import C_LIBRARY, PRELOAD, TCMALLOC, allocator_in_use, restart_on_tcmalloc

INSTALLED = find_library("tcmalloc_minimal")
# What the command does first, and what it then runs on.
PROGRAM = """
from training.allocator import allocator_in_use, restart_on_tcmalloc
restart_on_tcmalloc()
import sys
print(allocator_in_use(), *sys.argv[1:])
"""


def ran(tmp_path, name, **environment):
    program = tmp_path / name
    program.write_text(PROGRAM)
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


@pytest.mark.skipif(INSTALLED is None, reason="libtcmalloc-minimal4 is not installed")
def test_the_same_command_runs_on_tcmalloc(tmp_path):
    assert ran(tmp_path, "poise")[0] == f"{TCMALLOC} mini threads=1"


@pytest.mark.skipif(INSTALLED is not None, reason="libtcmalloc-minimal4 is installed")
def test_without_tcmalloc_it_goes_on_and_says_what_to_install(tmp_path):
    said, hint = ran(tmp_path, "poise")
    assert said == f"{C_LIBRARY} mini threads=1"
    assert "libtcmalloc-minimal4" in hint


@pytest.mark.parametrize(("name", "environment"), [("poise", {PRELOAD: ""}), ("notebook.py", {})])
def test_a_preload_of_ones_own_and_another_program_stay_as_they_are(tmp_path, name, environment):
    assert ran(tmp_path, name, **environment) == (f"{C_LIBRARY} mini threads=1", "")


def test_inside_another_program_nothing_is_restarted():
    before = os.environ.get(PRELOAD)
    restart_on_tcmalloc()  # would replace pytest itself
    assert os.environ.get(PRELOAD) == before
    assert allocator_in_use() in (TCMALLOC, C_LIBRARY)
