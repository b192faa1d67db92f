"""Times apt's own version comparison over a file of pairs; prints JSON."""

import json
import sys
import time

import apt_pkg

apt_pkg.init()
pairs = [line.split() for line in open(sys.argv[1])]
compare = apt_pkg.version_compare
best = None
for _ in range(7):
    start = time.process_time_ns()
    less = 0
    for a, b in pairs:
        if compare(a, b) < 0:
            less += 1
    spent = time.process_time_ns() - start
    # The loop itself is Python's and not apt's.
    start = time.process_time_ns()
    for a, b in pairs:
        if a is b:
            less += 1
    spent -= time.process_time_ns() - start
    best = spent if best is None else min(best, spent)
digest = 0
for a, b in pairs:
    r = compare(a, b)
    digest = (digest * 3 + (r > 0) - (r < 0) + 1) % 1_000_000_007
print(json.dumps({"strings_ns": best / len(pairs), "digest": digest}))
