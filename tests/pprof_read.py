#!/usr/bin/env python3
"""Reads a profile in pprof's format, and complains of what a reader would stumble over.

pprof_read.py samples FILE    one sample a line: its values, its addresses, then the names of its frames, innermost first
pprof_read.py lines FILE      the same, with a frame's file and line behind it: NAME at FILE:LINE
pprof_read.py header FILE     what kind of profile it is, and its mappings
"""

import gzip
import sys


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """The fields of a message, as a dictionary of lists: varints as numbers, what has a length as bytes."""
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
            assert len(value) == size, "a field is longer than its message"
        else:
            raise AssertionError(f"kind {key & 7} is none that profile.proto uses")
        found.setdefault(key >> 3, []).append(value)
    return found


def packed(data):
    values, at = [], 0
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


def one(message, field):
    return message.get(field, [0])[0]


what, path = sys.argv[1:]
profile = fields(gzip.open(path).read())
strings = [s.decode() for s in profile[6]]
assert strings[0] == "", "the first string must be empty"
assert len(set(strings)) == len(strings), "a string is there twice"


def value_type(data):
    message = fields(data)
    return f"{strings[one(message, 1)]}/{strings[one(message, 2)]}"


mappings = {one(m, 1): m for m in map(fields, profile.get(3, []))}
functions = {one(f, 1): f for f in map(fields, profile.get(5, []))}
locations = {one(loc, 1): loc for loc in map(fields, profile.get(4, []))}
assert 0 not in mappings and 0 not in functions and 0 not in locations, "an id is 0"


def source_of(line):
    message = fields(line)
    file, number = strings[one(functions[one(message, 1)], 4)], one(message, 2)
    assert (file == "") == (number == 0), "a line without a file, or a file without a line"
    return f" at {file}:{number}" if what == "lines" and number else ""


def names_of(location):
    message = locations[location]
    mapping, address = one(message, 2), one(message, 3)
    if mapping:
        assert one(mappings[mapping], 2) <= address < one(mappings[mapping], 3), "an address is outside of its mapping"
    names = [strings[one(functions[one(fields(line), 1)], 2)] + source_of(line) for line in message.get(4, [])]
    return names if names else [hex(address)]


if what == "header":
    print("sample_type", *map(value_type, profile[1]))
    print("period_type", value_type(one(profile, 11)), one(profile, 12))
    for number, mapping in mappings.items():
        print("mapping", number, strings[one(mapping, 5)], strings[one(mapping, 6)])
else:
    stacks = set()
    for sample in map(fields, profile.get(2, [])):
        stack, values = packed(sample[1][0]), packed(sample[2][0])
        assert len(values) == len(profile[1]), "a sample has as many values as there are types"
        assert tuple(stack) not in stacks, "a stack is there twice"
        stacks.add(tuple(stack))
        addresses = ",".join(hex(one(locations[location], 3)) for location in stack)
        print(*values, addresses, "\t".join(name for location in stack for name in names_of(location)))
