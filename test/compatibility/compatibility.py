#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a real program with and without heapster, and says whether anything but the measuring differed.

    compatibility.py list                                   name and label of each program, for CMake
    compatibility.py run NAME --heapster … --preload … --results DIR
    compatibility.py table --results DIR                    the results as the page docs/compatibility.md
    compatibility.py notices --meddler LIBRARY              the comparison notices what a bad preload does
    compatibility.py check PAGE                             the page has a row for each program, and no other

Each program runs three times: bare; with the preload and HEAPSTER_SIGNAL=none, where nothing may differ; and with
the preload's defaults, where SIGUSR1 may be caught that was left to its default before, and nothing else. Several of
these programs race with themselves, so that on a busy machine two bare runs differ now and then, by the number of a
descriptor for instance. A measured run that differs is not repeated: it has to be like one of a few more bare runs.
How many bare runs there were is printed as "bare".
"""
import argparse
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter

import workload
from programs import PROGRAMS

BARE_RUNS = 6
USR1 = 1 << (signal.SIGUSR1 - 1)
SKIPPED = 77


def run_once(program, base, settings, seconds):
    """One run in a fresh directory of always the same name."""
    directory = os.path.join(base, "work")
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    work = workload.Workload(directory, settings, [(base, "BASE"), *program.hide])
    signal.alarm(seconds)
    try:
        program.workload(work)
    finally:
        signal.alarm(0)
        work.supervisor.kill_all()
        shutil.rmtree(directory)
    return {"record": work.record, "looks": normal(work.supervisor.looks, program, base)}


def normal(looks, program, base):
    """Without what is a matter of chance: the order in which processes ended, and names made of random letters."""
    rows = []
    for look in looks:
        if look["name"] in program.unlooked:
            continue
        text = json.dumps(look["open"])
        for pattern, put in [(base, "BASE"), *program.hide]:
            text = re.sub(pattern, put, text)
        if program.loose:
            text = json.dumps(sorted({json.dumps(row[1:]) for row in json.loads(text)}))
        rows.append({**look, "open": text})
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def as_lines(value):
    return json.dumps(value, indent=1, sort_keys=True).splitlines()


def differences(bare, other, default_signal):
    """Lines of what differs, empty where nothing does."""
    lines = list(difflib.unified_diff(as_lines(bare["record"]), as_lines(other["record"]), "bare", "heapster", n=1))
    if not default_signal:
        return lines + list(difflib.unified_diff(as_lines(bare["looks"]), as_lines(other["looks"]), "bare", "heapster"))
    plain, more = without_usr1(bare["looks"]), without_usr1(other["looks"])
    lines += difflib.unified_diff(as_lines(plain[0]), as_lines(more[0]), "bare", "heapster", n=1)
    lines += [f"no longer caught: SIGUSR1 in {row}" for row in plain[1] - more[1]]
    return lines


def without_usr1(looks):
    """The looks with SIGUSR1 not caught, and how often each had it caught."""
    rows = [json.dumps({**look, "caught": look["caught"] & ~USR1}, sort_keys=True) for look in looks]
    return sorted(rows), Counter(row for row, look in zip(rows, looks) if look["caught"] & USR1)


class Measured:
    """Where one run's snapshots and segments go, and what they say."""

    def __init__(self, base, heapster, stacks):
        self.heapster = heapster
        self.stacks = stacks
        self.out = os.path.join(base, "snapshots")
        os.makedirs(self.out, exist_ok=True)
        os.chmod(self.out, 0o1777)
        self.run_dir = tempfile.mkdtemp(prefix="heapster-compat-", dir="/dev/shm")

    def settings(self, preload, signal_name):
        chosen = {"LD_PRELOAD": preload, "HEAPSTER_RUN_DIR": self.run_dir,
                  "HEAPSTER_OUT": os.path.join(self.out, "%e.%p.%n.heap")}
        if signal_name:
            chosen["HEAPSTER_SIGNAL"] = signal_name
        if self.stacks:
            chosen["HEAPSTER_STACKS"] = self.stacks
        return chosen

    def collect(self):
        """By executable: allocations, processes and verdicts. A file that cannot be read is an error."""
        found = {}
        for directory in (self.out, self.run_dir):
            for name in sorted(os.listdir(directory)):
                if name.startswith("."):  # the beginning of a snapshot whose writer was killed
                    continue
                done = subprocess.run([self.heapster, "show", "--json", os.path.join(directory, name)],
                                      capture_output=True, check=False)
                if done.returncode:
                    raise workload.Failed(f"{name}: {done.stderr.decode()}")
                shown = json.loads(done.stdout)
                row = found.setdefault(os.path.basename(shown["process"]["executable"]),
                                       {"allocations": 0, "processes": 0, "coverage": {}})
                row["allocations"] += shown["stats"]["alloc_count"]
                row["processes"] += 1
                coverage = shown["coverage"]
                row["coverage"][coverage["verdict"]] = coverage["reasons"]
        return found

    def remove(self):
        shutil.rmtree(self.run_dir, ignore_errors=True)
        shutil.rmtree(self.out, ignore_errors=True)


def versions(packages):
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages],
                           capture_output=True, text=True, check=False)
    return dict(line.split() for line in shown.stdout.splitlines())


def measure(program, heapster, preload, stacks):
    """Three runs of a program, more bare ones where these differ, and what was different in the measured two."""
    base = tempfile.mkdtemp(prefix="hc.", dir="/tmp")
    os.chmod(base, 0o755)
    preload = shutil.copy(preload, base)  # the build directory may be closed to a server's own user
    result = {"name": program.name, "versions": versions(program.packages), "differs": {}}
    try:
        bare = [run_once(program, base, {}, program.seconds)]
        if not bare[0]["looks"]:
            raise workload.Failed("the workload never looked at the program")
        for kind, signal_name in (("no signal", "none"), ("defaults", None)):
            measured = Measured(base, heapster, stacks)
            try:
                run = run_once(program, base, measured.settings(preload, signal_name), program.seconds)
                result["seen"] = measured.collect()
            finally:
                measured.remove()
            differs = lambda one: differences(one, run, signal_name is None)
            while all(map(differs, bare)) and len(bare) < BARE_RUNS:
                bare.append(run_once(program, base, {}, program.seconds))
            result["differs"][kind] = min(map(differs, bare), key=len)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    result["looks"] = len(bare[0]["looks"])
    result["bare"] = len(bare)
    return result


def complaints(program, result):
    """Why a result is not good."""
    found = [f"with {kind}:\n" + "\n".join(lines[:80]) for kind, lines in result["differs"].items() if lines]
    for name in program.executables:
        row = result["seen"].get(name)
        if row is None:
            found.append(f"{name} left no segment and no snapshot")
        elif program.blind:
            if set(row["coverage"]) != {"none"}:
                found.append(f"{name}: coverage {row['coverage']}, but nothing was expected to be seen")
        elif row["allocations"] == 0:
            found.append(f"{name}: no allocation was counted")
    return found


def run(options):
    program = next(entry for entry in PROGRAMS if entry.name == options.name)
    missing = set(program.packages) - set(versions(program.packages))
    if missing or (program.as_root and os.geteuid() != 0):
        print(f"skipped: needs root and {' '.join(program.packages)} (tools/packages.sh compat)")
        return SKIPPED
    result = measure(program, options.heapster, options.preload, options.stacks)
    found = complaints(program, result)
    result["complaints"] = found
    os.makedirs(options.results, exist_ok=True)
    with open(os.path.join(options.results, program.name + ".json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(json.dumps({key: result[key] for key in ("versions", "seen", "looks", "bare")}))
    for complaint in found:
        print(complaint)
    return 1 if found else 0


def on_alarm(*_):
    raise workload.Failed("the workload did not come to its end")


def list_programs(_):
    for program in sorted(PROGRAMS, key=lambda entry: entry.heavy):
        print(f"{program.name} {'heavy' if program.heavy else 'light'} {(BARE_RUNS + 2) * program.seconds + 60}")


def notices(options):
    """The comparison itself: a preload that meddles is found out, and SIGUSR1 alone is forgiven with the defaults."""
    program = next(entry for entry in PROGRAMS if entry.name == "dash")
    base = tempfile.mkdtemp(prefix="hc.", dir="/tmp")
    wrong = []
    try:
        bare = run_once(program, base, {}, program.seconds)
        for way in ("nothing", "descriptor", "ignored", "caught", "usr1", "output", "status"):
            run = run_once(program, base, {"LD_PRELOAD": options.meddler, "MEDDLE": way}, program.seconds)
            for default_signal in (False, True):
                forgiven = way == "nothing" or (way == "usr1" and default_signal)
                if bool(differences(bare, run, default_signal)) == forgiven:
                    wrong.append(f"{way}, {'defaults' if default_signal else 'no signal'}: should "
                                 + ("pass" if forgiven else "be noticed"))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print("\n".join(wrong))
    return 1 if wrong else 0


HEAD = """# Programs that were tried

Written by `tools/compatibility.sh --write-docs`; `tools/test.sh` runs the same programs. Each does some real work
(`test/compatibility`) three times in the same directory: bare, with the preload and HEAPSTER_SIGNAL=none, and with
the preload and its defaults. *The same* means: stdout, stderr and exit status of every step; and, of each process at
its exit, of servers at rest, the descriptors with their numbers, targets and flags, and the blocked, ignored and
caught signals. With the defaults, SIGUSR1 may be caught where it was left to its default before, and nothing else
may differ.

*Processes* are those that were looked at in one run. *Allocations* are those counted in all processes of the run
with the defaults, and *coverage* is that of the program itself.

| program | version | verdict | coverage | allocations | processes |
|---|---|---|---|---|---|
"""


def row_of(program, result):
    verdict = "the same"
    if result["complaints"]:
        verdict = "differs: " + " ".join(result["complaints"])[:200].replace("\n", " ").replace("|", "/")
    elif program.loose:
        verdict += " (descriptors without their numbers)"
    coverage = {}
    for name in program.executables:
        coverage.update(result["seen"].get(name, {}).get("coverage", {}))
    words = "; ".join(sorted(": ".join([key, *reasons]) for key, reasons in coverage.items()))
    counted = sum(row["allocations"] for row in result["seen"].values())
    version = result["versions"][program.packages[0]]
    return f"| {program.name} | {version} | {verdict} | {words} | {counted:,} | {result['looks']} |"


def table(options):
    rows = []
    for program in PROGRAMS:
        with open(os.path.join(options.results, program.name + ".json"), encoding="utf-8") as file:
            rows.append(row_of(program, json.load(file)))
    print(HEAD + "\n".join(rows))


def check(options):
    with open(options.page, encoding="utf-8") as file:
        told = [line.split(" | ")[0].removeprefix("| ") for line in file if line.startswith("| ")][1:]
    listed = [program.name for program in PROGRAMS]
    if told != listed:
        print(f"{options.page} tells of {told}, the list has {listed}; tools/compatibility.sh --write-docs")
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("list").set_defaults(do=list_programs)
    one = commands.add_parser("run")
    one.add_argument("name", choices=[program.name for program in PROGRAMS])
    one.add_argument("--heapster", required=True)
    one.add_argument("--preload", required=True)
    one.add_argument("--results", required=True)
    one.add_argument("--stacks", help="HEAPSTER_STACKS in the measured runs")
    one.set_defaults(do=run)
    page = commands.add_parser("table")
    page.add_argument("--results", required=True)
    page.set_defaults(do=table)
    itself = commands.add_parser("notices")
    itself.add_argument("--meddler", required=True)
    itself.set_defaults(do=notices)
    told = commands.add_parser("check")
    told.add_argument("page")
    told.set_defaults(do=check)
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, on_alarm)
    sys.exit(options.do(options))


if __name__ == "__main__":
    main()
