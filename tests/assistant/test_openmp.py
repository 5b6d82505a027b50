"""A thread that waits gives its helpers up, and gets them again."""

import subprocess
import sys

import pytest
import torch

from assistant import openmp

# Threads of the process after arithmetic of two pools, after one rests, and after both do.
PROGRAM = """
import os, threading, time, torch
from assistant.openmp import rest_threads

torch.set_num_threads(2)
before = len(os.listdir("/proc/self/task"))
ones = torch.ones(700, 700)

def count(most):
    until = time.monotonic() + 20
    while (now := len(os.listdir("/proc/self/task"))) > most and time.monotonic() < until:
        time.sleep(0.01)
    return now

def other():
    torch.set_num_threads(2)
    ones @ ones
    computed.set()
    rest.wait()
    rest_threads()
    rested.set()
    done.wait()

computed, rest, rested, done = (threading.Event() for _ in range(4))
thread = threading.Thread(target=other)
thread.start()
computed.wait()
ones @ ones
both = len(os.listdir("/proc/self/task"))
rest_threads()
one = count(both - 1)
rest.set()
rested.wait()
none = count(one - 1)
again = ones @ ones
right = bool((again == 700).all())
print(both - before, one - before, none - before, right, torch.get_num_threads())
done.set()
thread.join()
"""


@pytest.mark.skipif(openmp._pause() is None, reason="this torch computes without OpenMP")
def test_pools_go_one_by_one_and_come_again() -> None:
    """Beside the other thread itself, each pool of two has one helper."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["3", "2", "1", "True", "2"]


def test_without_openmp_nothing_happens(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(torch, "__file__", str(tmp_path / "torch" / "__init__.py"))
    openmp._pause.cache_clear()
    try:
        openmp.rest_threads()
        assert openmp._pause() is None
    finally:
        openmp._pause.cache_clear()
