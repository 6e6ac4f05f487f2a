#!/usr/bin/env python3
"""Reads a trace file with Python's JSON, checks what the Trace Event Format asks for and what turnkey promises, and prints
the events, one a line, in the order of time:

    [goroutine 2 "patient"] sync.Mutex.Lock for=mutex "accounts" 0x... held_by=goroutine 1 "owner" woken_by=goroutine 1 "owner"
    [goroutine 1 "owner"] wakes [goroutine 2 "patient"]
    [goroutine 1 "owner"] value: 7
    [goroutine 1 "owner"] mark "here"
    overwritten: 0
    from 0.4 ms to 12.3 ms

trace_read.py FILE    Control characters are printed as \\xNN. Exits with 1, and says why, if something is wrong.
"""

import collections
import json
import sys
from decimal import Decimal


def fail(what, event=None):
    print(f"wrong: {what}{': ' + json.dumps(event, default=str) if event else ''}")
    sys.exit(1)


with open(sys.argv[1], "rb") as file:
    content = file.read()
try:
    trace = json.loads(content.decode("utf-8"), parse_float=Decimal)
except ValueError as error:
    fail(f"this is no JSON: {error}")

names = {}  # of the tracks
slices = collections.defaultdict(list)  # of the tracks: (begin, end, event)
flows = collections.defaultdict(dict)
lines = []  # (time, text)
process = None


def nanoseconds(event, key):
    value = event.get(key)
    if not isinstance(value, (int, Decimal)) or value * 1000 != int(value * 1000):
        fail(f'"{key}" is no number of nanoseconds', event)
    return int(value * 1000)


def printable(text):
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


for event in trace["traceEvents"]:
    phase = event["ph"]
    process = process or event["pid"]
    if event["pid"] != process:
        fail("there are two processes", event)
    if not isinstance(event.get("name"), str):
        fail("it has no name", event)
    if phase == "M":
        if event["name"] == "thread_name":
            if event["tid"] in names:
                fail("a track has two names", event)
            names[event["tid"]] = printable(event["args"]["name"])
        continue
    if event.get("tid") not in names:
        fail("its track has no name", event)
    track = f"[{names[event['tid']]}]"
    begin = nanoseconds(event, "ts")
    if phase == "X":
        duration = nanoseconds(event, "dur")
        if duration < 0:
            fail("it ends before it begins", event)
        slices[event["tid"]].append((begin, begin + duration, event))
        arguments = "".join(f" {key}={printable(str(value))}" for key, value in event.get("args", {}).items())
        lines.append((begin, f"{track} {printable(event['name'])}{arguments}"))
    elif phase in "sf":
        if phase in flows[event["id"]]:
            fail("a flow begins or ends twice", event)
        if phase == "f" and event.get("bp") != "e":
            fail("it leads to the slice that begins next", event)
        flows[event["id"]][phase] = event
    elif phase == "C":
        lines.append((begin, f"{track} {printable(event['name'])}: {event['args']['value']}"))
    elif phase == "i":
        lines.append((begin, f"{track} mark \"{printable(event['name'])}\""))
    else:
        fail("this kind is not written", event)

# What begins at the same time is taken in the order of the file, as readers do.
for track in slices.values():
    open_until = []
    for begin, end, event in sorted(track, key=lambda each: each[0]):
        while open_until and open_until[-1] <= begin:
            open_until.pop()
        if open_until and open_until[-1] < end:
            fail("slices of one track overlap", event)
        open_until.append(end)

is_complete = trace["otherData"]["events_overwritten"] == 0
for flow in flows.values():
    if set(flow) != {"s", "f"}:
        fail("a flow has no end, or no beginning", next(iter(flow.values())))
    if nanoseconds(flow["s"], "ts") > nanoseconds(flow["f"], "ts"):
        fail("a flow goes back in time", flow["s"])
    for end in flow.values():
        at = nanoseconds(end, "ts")
        if is_complete and not any(first <= at <= last for first, last, _ in slices[end["tid"]]):
            fail("a flow comes from or leads to where no slice is", end)
    at = nanoseconds(flow["f"], "ts")
    lines.append((at, f"[{names[flow['s']['tid']]}] wakes [{names[flow['f']['tid']]}]"))

# A lock has one writer, or readers, at a time.
holds = collections.defaultdict(list)
for track in slices:
    for begin, end, event in slices[track]:
        if event["cat"] == "lock":
            holds[event["args"]["lock"]].append((begin, end, event["name"].startswith("reads "), event))
for held in holds.values():
    held.sort(key=lambda each: each[:2])
    writer_until = readers_until = float("-inf")
    for begin, end, is_reader, event in held:
        if begin < writer_until or (not is_reader and begin < readers_until):
            fail("two hold one lock", event)
        if is_reader:
            readers_until = max(readers_until, end)
        else:
            writer_until = end

# Who is said to hold a lock has held it, and who runs is carried by the thread that he runs on.
carried = collections.defaultdict(list)
for track in slices:
    for begin, end, event in slices[track]:
        if event["cat"] == "worker":
            carried[(track, printable(event["name"]))].append((begin, end))
for track in slices:
    for begin, end, event in slices[track]:
        arguments = event.get("args", {})
        holder = printable(arguments.get("held_by", ""))
        if is_complete and holder.startswith(("goroutine", "thread")):
            tids = [tid for tid, name in names.items() if name == holder or holder == f"thread {tid}"]
            if not any(hold[3]["tid"] in tids for hold in holds[arguments["for"]]):
                fail("the one that is said to hold it has not", event)
        if is_complete and "on" in arguments:
            worker = int(arguments["on"].removeprefix("thread "))
            if not any(first <= begin and end <= last for first, last in carried[(worker, names[track])]):
                fail("it runs on a thread that does not carry it", event)

lines.sort(key=lambda line: line[0])
print("\n".join(text for _, text in lines))
print(f"overwritten: {trace['otherData']['events_overwritten']}")
if lines:
    ends = [end for track in slices.values() for _, end, _ in track] or [lines[-1][0]]
    print(f"from {lines[0][0] / 1e6:.3f} ms to {max(ends) / 1e6:.3f} ms")
