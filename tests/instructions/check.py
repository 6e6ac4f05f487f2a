#!/usr/bin/env python3
"""Counts the instructions of the fast paths in paths.cpp by callgrind and compares them with what is recorded.

check.py PROGRAM             Exits with 1 if a path takes more than its bound, with 77 if there is no valgrind.
check.py PROGRAM --record    Writes what it counts to bounds.txt.
check.py PROGRAM --show      Only prints what it counts.

Instructions are counted rather than time, because they are the same on a busy machine. Under valgrind there are no restartable
sequences, so the unlocks, counter.add and snapshot.load that are counted are those of machines without them
(docs/decisions/0002-rseq-unlock.md).
"""

import glob
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

BOUNDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bounds.txt")
HEADER = """\
# Instructions that each path of paths.cpp takes once, counted with GCC 12.2 -O2 for x86-64, glibc 2.36 and valgrind 3.19, so without
# restartable sequences. check.py PROGRAM --record writes this file; check.py adds the tolerance. Of a path "over_std" it is the
# difference to what the map beneath takes, of one "percent_over_std" the hundredths of what that takes.
"""
# What other inlining or another libc may add; less than any atomic operation with its jump around.
TOLERANCE = 0.02
AT_LEAST = 1.0


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def dumps(program, settings):
    """What callgrind wrote down: (path, count, factor, attempt) and the instructions of all threads."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--dump-line=no",
             f"--callgrind-out-file={folder}/out", program],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240,
            env={**os.environ, "TURNKEY_MAXPROCS": "1", **settings})
        if run.returncode != 0:
            sys.exit(f"{program} under valgrind ended with {run.returncode}:\n{run.stdout}")
        for name in glob.glob(folder + "/out*"):
            with open(name, encoding="utf-8") as file:
                text = file.read()
            label = re.search(r"^desc: Trigger: Client Request: (\S+) (\d+) (\d+) (\d+)$", text, re.MULTILINE)
            total = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
            if label and total:
                key = (label[1], int(label[2]), int(label[3]), int(label[4]))
                found[key] = int(total[1])
    if not found:
        skip("the program was built where there was no valgrind/callgrind.h")
    return found


def count(program):
    """Instructions that each path takes once: the median of the attempts, some of which were disturbed."""
    found = {**dumps(program, {}), **dumps(program, {"TURNKEY_LOCK_ORDER": "1"})}
    attempts = {}
    for path, times, factor, attempt in found:
        if factor == 1:
            more = found[path, times, 2, attempt] - found[path, times, 1, attempt]
            attempts.setdefault(path, []).append(more / times)
    each = {path: statistics.median(values) for path, values in attempts.items()}
    for path in [path for path in each if path.endswith("/beneath")]:
        over = path[: -len("/beneath")]
        watched, beneath = each.pop(over), each.pop(path)
        each[over + ".over_std"] = watched - beneath
        each[over + ".percent_over_std"] = 100 * (watched - beneath) / beneath
    return each


def recorded():
    with open(BOUNDS, encoding="utf-8") as file:
        lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return {path: float(value) for path, value in lines}


def is_over(path, value, bounds):
    return path in bounds and value > limit(bounds[path])


def limit(bound):
    return max(bound * (1 + TOLERANCE), bound + AT_LEAST)


program = sys.argv[1]
if not shutil.which("valgrind"):
    skip("there is no valgrind")
bounds = {} if "--show" in sys.argv or "--record" in sys.argv else recorded()
counted = count(program)
for _ in range(2):
    if any(is_over(path, value, bounds) for path, value in counted.items()):
        again = count(program)
        counted = {path: min(value, again[path]) for path, value in counted.items()}

if "--record" in sys.argv:
    with open(BOUNDS, "w", encoding="utf-8") as out:
        out.write(HEADER)
        out.writelines(f"{path:<48} {value:.1f}\n" for path, value in sorted(counted.items()))
if not bounds:
    for path, value in sorted(counted.items()):
        print(f"{path:<48} {value:9.1f}")
    sys.exit(0)

failures = 0
for path in sorted(set(counted) | set(bounds)):
    if path in counted and path in bounds and not is_over(path, counted[path], bounds):
        print(f"{path:<48} {counted[path]:9.1f} of {limit(bounds[path]):.1f}")
        continue
    failures += 1
    if path not in counted:
        print(f"FAILED: {path} has a bound and is not counted: take it out of {BOUNDS}")
    elif path not in bounds:
        print(f"FAILED: {path} takes {counted[path]:.1f} instructions and has no bound")
    else:
        print(f"FAILED: {path} takes {counted[path]:.1f} instructions, {counted[path] - bounds[path]:+.1f}; "
              f"its bound is {limit(bounds[path]):.1f}")
if failures:
    print("If that is as it must be, say why in the commit, and record it: "
          f"{os.path.abspath(__file__)} {os.path.abspath(program)} --record")
    sys.exit(1)
