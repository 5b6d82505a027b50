"""Pools of worker processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from assistant.processes import worker_pool

# A script that is not guarded by __main__ would be run again by a spawned worker, hence -c.
PARENT = """
import os, time
from assistant.processes import worker_pool
pool = worker_pool(1)
print(pool.submit(os.getpid).result(), flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # ended, and nobody has asked for its exit status yet


def test_workers_end_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert alive(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(200):
        if not alive(worker):
            break
        time.sleep(0.1)
    assert not alive(worker)


def test_the_initialiser_runs_in_every_worker() -> None:
    with worker_pool(1, os.putenv, ("POISE_TRIED", "yes")) as pool:
        found = pool.submit(subprocess.check_output, ["sh", "-c", "printf $POISE_TRIED"]).result()
    assert found == b"yes"
