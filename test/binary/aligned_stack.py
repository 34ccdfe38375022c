#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""On a stack that is off by 8 a program's malloc and free run, so they have to with us: aligned_stack.py LIBRARY

Follows the machine code from what the program calls to what wants an aligned stack: vector registers that are kept
there, and functions of libc that are not known to need none. A function that aligns the stack ends the way. Calls by
a register lead to the next allocator, as without us."""
import re
import subprocess
import sys

# What is called on the program's stack, but for the exported functions: by libc, or instead of the next allocator's.
ROOTS = re.compile(r"::(before_fork|after_fork_in_(parent|child)|on_exit|limited_\w+|timed_malloc|followed_\w+"
                   r"|\w+_sampled)\(")
ALIGNS = re.compile(r"\band +\$0xf+[ef]0,%rsp")
WANTS = re.compile(r"\bv?mov(ap[sd]|dqa)\b.*\(%r[sb]p|(call|jmp) +\*.*<((pthread|dl|__cxa|__register)\w*)@")
CALL = re.compile(r"(?:call|j[a-z]+) +([0-9a-f]+) <")


class Function:
    def __init__(self, name):
        self.name, self.calls, self.wants, self.aligns = name, [], [], False

    def add(self, code):
        self.aligns = self.aligns or bool(ALIGNS.search(code))
        if WANTS.search(code):
            self.wants.append(code)
        if target := CALL.search(code):
            self.calls.append(int(target[1], 16))


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def functions_of(library):
    functions = {}
    for line in output_of("objdump", "-d", "--no-show-raw-insn", "-C", library):
        if header := re.match(r"([0-9a-f]+) <(.*)>:$", line):
            functions[int(header[1], 16)] = here = Function(header[2])
        elif code := re.match(r" *[0-9a-f]+:\t(.*)", line):
            here.add(code[1])
    return functions


def main(library):
    functions = functions_of(library)
    exports = {int(line.split()[0], 16) for line in output_of("nm", "-D", "--defined-only", library)}
    others = [at for at, each in functions.items() if ROOTS.search(each.name)]
    if not exports or not exports <= functions.keys() or len(others) < 10:
        sys.exit(f"{len(exports)} exported functions and {len(others)} other ways in cannot be all")
    waiting = [(at, []) for at in [*exports, *others]]
    reached, bad = set(), 0
    while waiting:
        at, way = waiting.pop()
        if at in reached or at not in functions:
            continue
        reached.add(at)
        here = functions[at]
        way = [*way, here.name]
        if here.aligns:
            continue
        if here.wants:
            bad += 1
            print(" -> ".join(way), *here.wants[:3], sep="\n    ")
        waiting += [(to, way) for to in here.calls]
    aligning = sum(functions[at].aligns for at in reached)
    print(f"{len(reached)} functions are reached, {aligning} align the stack, {bad} want it aligned")
    return 1 if bad or not aligning else 0


sys.exit(main(sys.argv[1]))
