#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# Holds docs/format.md against the code: its tables against src/layout, and what a reader that
# follows it finds in real files (reader.py) against what `heapster show --json` says of them.
#   format_test.py HEAPSTER LIBHEAPSTER.SO OFFSETS MAKE_SEGMENT SOURCE_DIRECTORY
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import reader

HEAPSTER, PRELOAD, OFFSETS, MAKE_SEGMENT, SOURCE = sys.argv[1:]
DOCUMENT = os.path.join(SOURCE, "docs", "format.md")
HEADINGS = ("Header", "Section", "Identity", "Ending", "AtFork", "Published", "FieldInfo", "Slots and shards", "Arena",
            "Sampling", "Module", "Stack", "Sample")
NOT_SUMS = ("use_max_time", "use_max_since", "live_at_peak")  # times and tables, which reader.py does not print
failures = []

PERL = r"""
my %h; my @kept;
$h{"key $_"} = "x" x ($_ % 700) for 1 .. 20000;
push @kept, "y" x 100 for 1 .. 3000;
my $s = ""; $s .= "grow" x 50 for 1 .. 4000;
delete $h{"key $_"} for 1 .. 9000;
"""
# Several slots at once, one of them handed from thread to thread; then a fork's child.
THREADS = r"""
import os, threading
kept = [b"z" * n for n in range(5000)]
for turn in range(3):
    several = [threading.Thread(target=lambda: [bytes(100 * i) for i in range(2000)]) for _ in range(4)]
    for thread in several: thread.start()
    for thread in several: thread.join()
if os.fork() == 0:
    kept.extend(bytes(3000) for _ in range(2000))
else:
    os.wait()
"""
WAITING = r"""
import sys
kept = [b"w" * n for n in range(3000)]
print("ready", flush=True)
sys.stdin.readline()
"""


def check(what, expected, found):
    if expected != found:
        failures.append(f"{what}: {expected!r} expected, found {found!r}")


def check_tables():
    """Every row of the document's tables is the layout's, and the other way round."""
    tables = reader.tables_of(DOCUMENT)
    said = sorted((h, int(row[0]), int(row[1]), row[2]) for h in HEADINGS for row in tables[h][0])
    lines = subprocess.run([OFFSETS], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    laid_out = sorted((h, int(offset), int(size), name) for h, offset, size, name in (r for r in rows if len(r) == 4))
    sections = [[number, name, size, offset] for _, number, size, name, offset in (r for r in rows if len(r) == 5)]
    check("table of stack sections", sections, [row[:4] for row in tables["Stack sections"][0]])
    for row in sorted(set(said) ^ set(laid_out)):
        failures.append(f"{'docs/format.md' if row in said else 'src/layout/segment.h'} alone has {row}")
    for heading, file, macro, first, columns in (
        ("Notes", "notes.def", "NOTE", 0, 2),
        ("Texts", "texts.def", "TEXT", 1, 1),
    ):
        code = open(os.path.join(SOURCE, "src", "layout", file), encoding="utf-8").read()
        listed = re.findall(rf"^HEAPSTER_{macro}\((\w+), (\w+)?", code, re.M)
        expected = [[str(i)] + list(entry[:columns]) for i, entry in enumerate(listed, first)]
        check(f"table of {heading}", expected, [row[: 1 + columns] for row in tables[heading][0]])
    return tables


def check_sections(tables, snapshot):
    for number, name, item_bytes, offset, _ in tables["Section types"][0]:
        section = snapshot.sections[name]
        check(f"section {name}", (int(number), int(item_bytes), int(offset)),
              (section["type"], section["item_bytes"], section["offset"]))
    check("number of sections", len(tables["Section types"][0]), len(snapshot.sections))


def show(argument, environment):
    shown = subprocess.run([HEAPSTER, "show", "--json", argument], check=True, capture_output=True, env=environment)
    return json.loads(shown.stdout)


def compare(what, snapshot, shown):
    """Numbers, buckets and texts of one file, read in both ways."""
    stats, totals = shown["stats"], snapshot.totals()
    sums = {name: value for name, value in stats.items() if isinstance(value, int)
            and name not in NOT_SUMS and "_histogram" not in name}
    check(f"{what}: allocates at all", True, sums["alloc_count"] > 100)
    for name, value in sums.items():
        check(f"{what}: {name}", value, totals.get(name))
    tables = {name: snapshot.histogram(name) for name in
              ("alloc", "dealloc", "realloc_growth", "realloc_shrink", "realloc_move")}
    tables["live"] = snapshot.live()
    for name, cells in tables.items():
        check(f"{what}: {name}_histogram", stats[f"{name}_histogram"], [cell[0] for cell in cells[1:]])
        check(f"{what}: {name}_histogram_bytes", stats[f"{name}_histogram_bytes"], [cell[1] for cell in cells[1:]])
        check(f"{what}: {name}_histogram_zero", stats[f"{name}_histogram_zero"], cells[0][0])
    process = shown["process"]
    for name in ("executable", "allocator"):
        check(f"{what}: {name}", process[name].encode(), snapshot.texts.get(name, [b""])[0])
    # A segment does not say of which boot it is; whoever reads it beside its process knows.
    with open("/proc/sys/kernel/random/boot_id", "rb") as boot:
        this_boot = boot.read().strip()
    check(f"{what}: boot_id", process["boot_id"].encode(), snapshot.texts.get("boot_id", [this_boot])[0])
    check(f"{what}: options", [o.encode() for o in process["options"]], snapshot.texts["option"])
    for name in ("pid", "parent_pid", "uid", "image", "start_ticks", "pid_namespace"):
        check(f"{what}: {name}", process[name], snapshot.identity[name])
    check(f"{what}: notes", {n["name"]: n["count"] for n in shown["notes"]}, snapshot.notes)
    check(f"{what}: slots", len(shown["threads"]), snapshot.sections["slots"]["used"])


def check_ended(what, command, snapshots, directory, environment, tables):
    subprocess.run(command, check=True, cwd=directory, env={**environment, "LD_PRELOAD": PRELOAD})
    paths = sorted(glob.glob(os.path.join(directory, "*.heap")))
    check(f"{what}: snapshots", snapshots, len(paths))
    for path in paths:
        snapshot = reader.Snapshot(path, DOCUMENT)
        check_sections(tables, snapshot)
        compare(what, snapshot, show(path, environment))
        os.unlink(path)


def check_stacks(directory, environment):
    """The sums over all stacks, of a file that was made by hand."""
    subprocess.run([MAKE_SEGMENT, directory], check=True)
    path = os.path.join(directory, "stacks.heap")
    snapshot, shown = reader.Snapshot(path, DOCUMENT), show(path, environment)["stacks"]
    for name, value in snapshot.stack_totals().items():
        check(f"stacks: {name}", shown["total"][name], value)
    check("stacks: all figures", True, len(snapshot.stack_totals()) >= 12 and shown["total"]["live_bytes"] > 0)
    check("stacks: how many", shown["stacks"], len(snapshot.stacks()))
    check("stacks: their modules", {1, 2}, {m for stack in snapshot.stacks() for m, _ in stack["frames"]} - {0})
    check("stacks: sampled live blocks", shown["total"]["live_samples"], len(snapshot.samples()))
    for name in ("mean_bytes", "samples_dropped", "stack_unknown"):
        check(f"stacks: {name}", shown[name], snapshot.sampling()[name])


def check_living(directory, environment):
    """A segment that its process maps; stopped, so that both readers see the same."""
    with subprocess.Popen([sys.executable, "-c", WAITING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory,
                          env={**environment, "LD_PRELOAD": PRELOAD}) as program:
        program.stdout.readline()
        os.kill(program.pid, signal.SIGSTOP)
        os.waitpid(program.pid, os.WUNTRACED)
        segment = glob.glob(os.path.join(environment["HEAPSTER_RUN_DIR"], f"*-{program.pid}-*"))[0]
        compare("a live segment", reader.Snapshot(segment, DOCUMENT), show(str(program.pid), environment))
        os.kill(program.pid, signal.SIGCONT)
        program.communicate(b"\n")
    check("exit status", 0, program.returncode)


def main():
    run_directory = tempfile.mkdtemp(prefix="heapster-format-", dir="/dev/shm")
    working = tempfile.mkdtemp(prefix="heapster-format-")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("HEAPSTER_") and name != "LD_PRELOAD"}
    environment.update(PERL_HASH_SEED="0", HEAPSTER_RUN_DIR=run_directory,
                       HEAPSTER_OUT=os.path.join(working, "%e.%p.heap"))
    try:
        tables = check_tables()
        if not failures:
            check_ended("perl", ["/usr/bin/perl", "-e", PERL], 1, working, environment, tables)
            check_ended("python3", [sys.executable, "-c", THREADS], 2, working, environment, tables)
            check_stacks(working, environment)
            check_living(working, environment)
    finally:
        shutil.rmtree(run_directory)
        shutil.rmtree(working)
    for failure in failures:
        print(failure)
    return 1 if failures else 0


sys.exit(main())
