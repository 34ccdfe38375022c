#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# The failures of heapster/testing.hpp name who allocated, where stacks are sampled; each its own, and nobody else.
# stacks_test.py PROGRAM PRELOAD HEAPSTER

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAM, PRELOAD, HEAPSTER = sys.argv[1:]
CULPRITS = ("first_culprit", "second_culprit", "keeps_a_block", "makes_a_block", "grows_a_block",
            "allocates_meanwhile")
HINT = "where: `heapster stacks "


# malloc may give up to 24 bytes more than it was asked for, where the rest would be no block.
ABOUT_200 = r"2[0-2]\d"


def expect(holds, what):
    if not holds:
        sys.exit(f"stacks_test.py: {what}")


def failures(tests, preload=PRELOAD, **variables):
    """What follows `where` in each failure of the tests that match, and all that was printed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HEAPSTER_") and k != "LD_PRELOAD"}
    with tempfile.TemporaryDirectory(prefix="heapster-inside.", dir="/dev/shm") as directory:
        kept |= {"HEAPSTER_RUN_DIR": directory, "HEAPSTER_OUT": "none", "XDG_CACHE_HOME": directory}
        kept |= {"LD_PRELOAD": preload} | variables
        ended = subprocess.run([PROGRAM, f"--gtest_filter=Failing.{tests}"], env=kept, capture_output=True, text=True,
                               timeout=300)
        left = [path.name for path in pathlib.Path(directory).glob("*") if path.suffix in (".live", ".heap")]
    expect(ended.returncode == 1, f"{tests}: exit status {ended.returncode}: {ended.stdout}{ended.stderr}")
    expect(not left, f"{tests}: left {left}")
    parts = re.split(r"^\S+: Failure$", ended.stdout, flags=re.M)[1:]
    return [part[part.index("\n  where"):].split("\n\n")[0].split("\n[")[0] for part in parts], ended.stdout


def stacks_of(tests):
    return failures(tests, HEAPSTER_STACKS="1")[0]


def expect_named(where, *names):
    found = tuple(name for name in CULPRITS if re.search(rf"::{name}\b", where))
    expect(found == names, f"names {found}, not {names}: {where}")


def two_in_a_row_name_each_its_own():
    first, second = stacks_of("First:Failing.Second")
    expect_named(first, "first_culprit")
    expect_named(second, "second_culprit")
    expect("allocated 3 times, 312 bytes; freed 3 times, 312 bytes\n        " in first, first)
    expect(re.search(f"allocated 1 times, {ABOUT_200} bytes; freed 1 times, {ABOUT_200} bytes\n        ", second), second)
    expect(re.search(r"\n        \(anonymous namespace\)::first_culprit  failing_test\.cpp:\d+$", first),
           f"more than the function and its place: {first}")


def what_held_before_is_not_told():
    expect_named(stacks_of("BlockAfterOneThatHolds")[0], "second_culprit")
    last, = stacks_of("AfterHundredsThatHold")
    expect_named(last, "second_culprit")
    expect(re.search(f"allocated 1 times, {ABOUT_200} bytes", last), last)


def an_outer_one_tells_all():
    outer, = stacks_of("Outer")
    expect_named(outer, "first_culprit", "second_culprit")
    expect("testing::internal" not in outer, f"GoogleTest is in the stack: {outer}")


def a_leak_is_told_by_what_stays():
    where, = stacks_of("Leak")
    expect_named(where, "keeps_a_block")
    expect("allocated 1 times, 312 bytes; freed 0 times, 0 bytes" in where, where)


def a_growth_is_told_by_where_the_block_is_from():
    where, = stacks_of("Growth")
    expect_named(where, "makes_a_block")
    expect(re.search(r"allocated 0 times, 49\d\d bytes, grown 1 times; freed 0 times, 0 bytes", where), where)


def threads_count_as_in_the_figures():
    expect("allocates_meanwhile" not in (own := stacks_of("NotWhatAnotherThreadDoes")[0]), own)
    expect("second_culprit" in own, own)
    expect("allocates_meanwhile" in (whole := stacks_of("WhatAnotherThreadDoesWhereAsked")[0]), whole)


def a_negated_matcher_tells_too():
    expect_named(stacks_of("NotAtAll")[0], "first_culprit")


def the_way_through_the_library_is_left_out():
    where, = stacks_of("OfTheLibrary")
    first = re.findall(r"freed .*\n        (.*)", where)
    expect(first and all("::fills_a_vector" in name for name in first), where)


def the_largest_come_first_and_the_rest_is_counted():
    where, = stacks_of("Many")
    numbers = re.findall(r"^        .*one_of_many<(\d)>", where, re.M)
    expect(numbers == ["6", "5", "4", "3", "2"], f"{numbers}: {where}")
    expect(where.endswith("and 2 more stacks"), where)


def without_stacks_there_is_a_hint():
    where, = failures("First")[0]
    expect(where == "\n  where: run the test with HEAPSTER_STACKS=1, and it is told here", where)


def what_is_not_sampled_is_not_told():
    where, = failures("First", HEAPSTER_STACKS="100G")[0]
    expect(HINT in where and "nothing was sampled here" in where, where)


def heapster_is_found_beside_the_library_or_in_the_path():
    with tempfile.TemporaryDirectory(prefix="heapster-inside.") as directory:
        away = f"{directory}/lib/x86_64-linux-gnu/libheapster.so"
        os.makedirs(os.path.dirname(away))
        shutil.copy(PRELOAD, away)
        alone, = failures("First", preload=away, HEAPSTER_STACKS="1", PATH="/nowhere")[0]
        expect(HINT in alone and "sampled" not in alone, alone)
        expect_named(failures("First", preload=away, HEAPSTER_STACKS="1", PATH=os.path.dirname(HEAPSTER))[0][0],
                     "first_culprit")
        os.makedirs(f"{directory}/bin")
        os.symlink(HEAPSTER, f"{directory}/bin/heapster")
        expect_named(failures("First", preload=away, HEAPSTER_STACKS="1", PATH="/nowhere")[0][0], "first_culprit")


two_in_a_row_name_each_its_own()
what_held_before_is_not_told()
an_outer_one_tells_all()
a_leak_is_told_by_what_stays()
a_growth_is_told_by_where_the_block_is_from()
threads_count_as_in_the_figures()
a_negated_matcher_tells_too()
the_way_through_the_library_is_left_out()
the_largest_come_first_and_the_rest_is_counted()
without_stacks_there_is_a_hint()
what_is_not_sampled_is_not_told()
heapster_is_found_beside_the_library_or_in_the_path()
