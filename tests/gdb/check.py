#!/usr/bin/env python3
"""Runs gdb on tests/gdb/program.cpp, live and on a core file of it, and checks what turnkey's commands and printers say.

check.py PROGRAM    Exits with 77 if gdb is not there, has no Python, or may not trace a process here.
"""

import glob
import os
import re
import resource
import subprocess
import sys
import tempfile

program = sys.argv[1]
LOAD = ["-iex", f"add-auto-load-safe-path {os.path.dirname(program)}"]  # the script is in the program


def gdb(*arguments):
    run = subprocess.run(["gdb", "-batch", "-nx", *LOAD, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=240)
    return run.stdout


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


try:
    if "python works" not in gdb("-ex", "python print('python ' + 'works')"):
        skip("this gdb has no Python")
except FileNotFoundError:
    skip("there is no gdb")
if "exited normally" not in (said := gdb("-ex", "run", "/bin/true")):
    skip("gdb may not trace a process here: " + said.strip().replace("\n", " | "))

COMMANDS = ["info goroutines", "python print('=== bt')", "goroutine {teller}", "python print('=== info frame')",
            "goroutine {owner} info frame",
            "python print('=== printers')", "print '(anonymous namespace)::accounts'", "print '(anonymous namespace)::prices'", "print '(anonymous namespace)::finished'", "print '(anonymous namespace)::jobs'",
            "print '(anonymous namespace)::nobodys'", "print '(anonymous namespace)::read_by_two'",
            "print '(anonymous namespace)::read_by_none'", "python print('=== all')", "goroutine all", "python print('=== thread')", "backtrace 1",
            "goroutine 999"]
# Regular expressions; ... stands for anything.
EXPECTED = [
    r'goroutine \d+ "owner" \[chan receive\]: waits for channel 0x[0-9a-f]+, 0 of 4, 1 receiver waiting\n'
    r'    \(anonymous namespace\)::take_a_job.* at .*program\.cpp:\d+\n',
    r'goroutine \d+ "teller 1" \[sync\.Mutex\.Lock\]: waits for mutex 0x[0-9a-f]+, held by goroutine \d+ "owner", 2 waiters\n'
    r'    \(anonymous namespace\)::transfer.* at .*program\.cpp:\d+\n',
    r'goroutine \d+ "teller 2" \[sync\.Mutex\.Lock\]',
    r'goroutine \d+ "manager" \[sync\.RWMutex\.Lock\]: waits for rw_mutex 0x[0-9a-f]+, held by 1 reader, 1 waiter\n'
    r'    \(anonymous namespace\)::change_prices.* at .*program\.cpp:\d+\n',
    r'=== bt\n#1 ...turnkey::mutex::lock ...transfer \(amount=50\) at ...program\.cpp:\d+\n...turnkey_start ...=== info frame',
    r'=== info frame\nStack level 1, frame at 0x',
    r'=== printers\n\$1 = held by goroutine \d+ "owner", 2 waiters\n\$2 = held by 1 reader, 1 waiter\n'
    r'\$3 = counter 3\n\$4 = 0 of 4, 1 receiver waiting\n\$5 = free\n\$6 = held by 2 readers\n\$7 = free\n',
    r'=== all\n\ngoroutine \d+ "owner" \[chan receive\]\n#1 ...take_a_job \(number_of_owner=...4711\)...'
    r'"manager" \[sync\.RWMutex\.Lock\]\n...change_prices...=== thread\n',
    r'no goroutine 999',
]


def check(how, *start, at=r"=== thread\n#0 +stop_here"):
    listed = gdb(*start, "-ex", "info goroutines")
    ids = {name: number for number, name in re.findall(r'goroutine (\d+) "(\w+)', listed)}
    if not {"owner", "teller"} <= ids.keys():
        print(f"--- {how}: the goroutines are not listed ---\n{listed}")
        return False
    said = gdb(*start, *(part for command in COMMANDS for part in ("-ex", command.format(**ids))))
    missing = [pattern for pattern in [*EXPECTED, at] if not re.search(pattern.replace("...", r"[\s\S]*?"), said)]
    for pattern in missing:
        print(f"--- {how}: not found: {pattern}")
    if missing:
        print(f"--- {how}: gdb said ---\n{said}")
    return not missing


with tempfile.TemporaryDirectory() as folder:
    live = ("-ex", "set breakpoint pending off", "-ex", "break stop_here", "-ex", "run", program)
    passed = check("live", *live)
    # The kernel's core file: gdb's own leaves out what lies behind a guard page.
    pattern = open("/proc/sys/kernel/core_pattern").read().strip()
    if pattern.startswith("|") or "/" in pattern:
        print(f"the core file is left out: core_pattern is {pattern}")
    else:
        subprocess.run([program], cwd=folder, check=False,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2))
        cores = glob.glob(os.path.join(folder, "*"))
        if not cores:
            print("the core file is left out: the kernel wrote none")
        else:
            passed = check("core", program, cores[0], at="") and passed
sys.exit(0 if passed else 1)
