#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# The programs that docs/testing.md and docs/arenas.md show: that they are the ones compiled here, and do what is said
# of them, measured and not: examples_test.py SOURCES PROGRAMS PRELOAD HEAPSTER

import json
import os
import re
import subprocess
import sys
import tempfile

SOURCES, PROGRAMS, PRELOAD, HEAPSTER = sys.argv[1:]
DOCUMENTS = ("docs/testing.md", "docs/arenas.md")
LICENCE = "// SPDX-License-Identifier: MIT\n"


def expect(holds, what):
    if not holds:
        sys.exit(f"examples_test.py: {what}")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def run(name, *arguments, measured=True, over=""):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEAPSTER_") and k != "LD_PRELOAD"}
    with tempfile.TemporaryDirectory(prefix="heapster-inside.", dir="/dev/shm") as run_directory:
        environment |= {"HEAPSTER_RUN_DIR": run_directory, "HEAPSTER_OUT": "none"} if measured else {}
        environment |= {"LD_PRELOAD": f"{PRELOAD}:{over}"} if measured else {}
        return subprocess.run([f"{PROGRAMS}/example_{name}", *arguments], env=environment, capture_output=True,
                              text=True, timeout=120)


def documents_show_what_is_compiled():
    shown = set()
    for document in DOCUMENTS:
        shown |= set(re.findall(r"^```cpp\n(.*?)^```$", read(f"{SOURCES}/{document}"), re.M | re.S))
    directory = f"{SOURCES}/test/inside/examples"
    compiled = {read(f"{directory}/{name}").removeprefix(LICENCE): name for name in sorted(os.listdir(directory))}
    for text in shown - set(compiled):
        expect(False, f"shown in a document, but not compiled:\n{text}")
    for text in set(compiled) - shown:
        expect(False, f"{compiled[text]} is in no document as it is")


def test_frameworks_pass_and_never_in_silence():
    for name in ("matchers", "catch2", "doctest"):
        ended = run(name)
        expect(ended.returncode == 0, f"{name}, measured: {ended.stdout}")
    expect("SKIPPED" not in run("matchers").stdout, "matchers, measured, skips")
    bare = run("matchers", measured=False)
    expect(bare.returncode == 0 and "[  SKIPPED ] 2 tests" in bare.stdout, f"matchers, bare: {bare.stdout}")
    expect("run the test with `heapster-run ./test`" in bare.stdout, f"matchers do not say why: {bare.stdout}")
    # Under heapster, and yet blind: jemalloc has an operator new of its own.
    blind = run("matchers", over="libjemalloc.so.2")
    expect("[  SKIPPED ] 2 tests" in blind.stdout and "operator new is the allocator's own" in blind.stdout,
           f"matchers, over jemalloc: {blind.stdout}")
    for name in ("catch2", "doctest"):
        expect(run(name, measured=False).returncode != 0, f"{name}, bare, passes")


def benchmarks_tell_what_they_allocate():
    arguments = ("--benchmark_format=json", "--benchmark_min_time=0.01")
    ended = run("benchmark", *arguments)
    expect(ended.returncode == 0, ended.stderr)
    result = json.loads(ended.stdout)
    expect(result["context"]["heapster"] == "active", result["context"])
    fill, keep = result["benchmarks"]
    own = 2048  # what the library allocates for the run
    expect(1 <= fill["allocs_per_iter"] < 2, fill)
    expect(16000 <= fill["total_allocated_bytes"] <= 16000 + own, fill)
    expect(1000 <= fill["max_bytes_used"] <= 1000 + own, fill)
    expect(fill["net_heap_growth"] == 0, fill)
    expect(16000 <= keep["net_heap_growth"] <= 16000 + own, keep)
    expect(keep["net_heap_growth"] <= keep["max_bytes_used"] <= 16000 + own, keep)

    bare = json.loads(run("benchmark", *arguments, measured=False).stdout)
    expect(bare["context"]["heapster"] == "not active: run under heapster-run", bare["context"])
    expect("allocs_per_iter" not in bare["benchmarks"][0], bare["benchmarks"][0])


def arenas_count_in_any_case():
    for measured in (True, False):
        expect(run("arenas", measured=measured).stdout ==
               "frame: peak 4000, 3 resets\ncache: 4000\nnodes: 3 blocks\n", f"arenas, measured: {measured}")


# The budgets of the document, for a program that knows nothing of them.
def budgets_hold_unmodified_programs():
    with tempfile.TemporaryDirectory(prefix="heapster-inside.", dir="/dev/shm") as place:
        environment = os.environ | {"HEAPSTER_RUN_DIR": place}
        for budget, code in (("1G", 0), ("1", 1)):
            command = [HEAPSTER, "run", "-q", "--max-peak", budget, f"{PROGRAMS}/example_arenas"]
            ended = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True, timeout=120)
            expect(ended.returncode == code, f"{command}: {ended.returncode} {ended.stderr}")


documents_show_what_is_compiled()
test_frameworks_pass_and_never_in_silence()
benchmarks_tell_what_they_allocate()
arenas_count_in_any_case()
budgets_hold_unmodified_programs()
