"""Runs a program and writes its CPU seconds, its peak memory in MiB, and its seconds in all.

cost.py FILE PROGRAM ARGUMENT...
The program is started by posix_spawn from a small process, so that the peak is its own.
"""

import os
import sys
import time

null = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
start = time.monotonic()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, file_actions=actions)
_, _, usage = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    file.write(f"{usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1024} {time.monotonic() - start}")
