# SPDX-License-Identifier: MIT
"""Runs the benchmark's parts (test/bench) and hands the samples to bench_report.py. Started by tools/bench.sh.

What is compared are subjects: the same program in different environments. Everything is interleaved: a round visits
each subject once, every other round backwards, so that a machine whose speed drifts favours nobody. The parts keep
single-threaded work on one processor, and tell what was measured while somebody else used its core
(test/bench/core_watch.h); that is left out.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import bench_report

ROOT = Path(__file__).resolve().parent.parent
PARTS = ROOT / "build/bench"
WORKLOADS = [(name, threads) for name in ("pair", "mixed", "realloc") for threads in (1, 2, 8)]
WORKLOADS += [("scope", 1), ("stats", 1)]  # of the interface: they are nothing to who is not heapster
# One thread works, so many others have allocated once and rest.
BESIDE = ("pair_beside", "large_beside", "growth_beside", "realloc_beside")
WORKLOADS += [(name, threads) for name in BESIDE for threads in (1, 100, 1000, 4000)]
JEMALLOCS = ("jemalloc", "jemalloc, profiler", "jemalloc, heapster")


def takes_part(subject, workload, threads):
    if workload in ("scope", "stats", *BESIDE):
        return subject in ("bare", "heapster") or (subject == "before" and workload in BESIDE)
    return subject not in JEMALLOCS or (workload, threads) in (("pair", 1), ("mixed", 1))


# Each takes about 0.4 s: long against start-up, short enough for the two runs of a pair to meet the same machine.
GIVEN = ROOT / "test/bench/programs"
PROGRAMS = {
    "perl": ["/usr/bin/perl", GIVEN / "hash.pl"],
    "sqlite3": ["/usr/bin/sqlite3", "-batch", ":memory:", f".read '{GIVEN}/inserts.sql'"],
    "cc1plus": ["/usr/bin/g++", "-std=c++20", "-O1", "-c", "-o", "/dev/null", GIVEN / "compiled.cpp"],
    "python3": ["/usr/bin/python3", GIVEN / "json_rows.py"],
}


class Bench:
    """The options, the subjects that were found, where temporary files go, and what went wrong so far."""

    def __init__(self, options, scratch, run_dir):
        self.options, self.scratch, self.run_dir = options, scratch, run_dir
        self.notes, self.problems, self.rounds_apart, self.rounds_shared = [], [], 0, 0
        self.cli = options.heapster / "heapster"
        self.base = {name: value for name, value in os.environ.items()
                     if not re.match(r"LD_|MALLOC_|MEMUSAGE|HEAPSTER_|DUMP_HEAPTRACK|GLIBC_TUNABLES|GCC_|PYTHON", name)}
        self.base |= {"LC_ALL": "C", "PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0", "HEAPSTER_RUN_DIR": str(run_dir)}
        self.base["BENCH_CORE_US"] = subprocess.run([PARTS / "bench_core"], capture_output=True, text=True,
                                                    check=True).stdout.strip()
        self.subjects = self.find_subjects()

    def find_subjects(self):
        """Name -> the variables that make a program that subject; those whose library is missing are left out."""
        libraries = {
            "pass-through": (PARTS / "shim_pass.so", {}),
            "returning": (PARTS / "shim_return.so", {}),
            "reference": (PARTS / "shim_reference.so", {}),
            "libmemusage": (Path(f"/usr/lib/{os.uname().machine}-linux-gnu/libmemusage.so"), {}),
            # Its recorder without its interpreter: the kindest way to run it on a machine with few processors.
            "heaptrack": (Path("/usr/lib/heaptrack/libheaptrack_preload.so"), {"DUMP_HEAPTRACK_OUTPUT": "/dev/null"}),
            "heapster": (self.options.heapster / "libheapster.so", {"HEAPSTER_OUT": "none"}),
            "heapster, 512K": (self.options.heapster / "libheapster.so",
                               {"HEAPSTER_OUT": "none", "HEAPSTER_STACKS": "512K"}),
            "heapster, 1": (self.options.heapster / "libheapster.so", {"HEAPSTER_OUT": "none", "HEAPSTER_STACKS": "1"}),
        }
        if self.options.before:
            earlier = self.options.before / "libheapster.so"
            libraries |= {"before": (earlier, {"HEAPSTER_OUT": "none"}),
                          "before, 512K": (earlier, {"HEAPSTER_OUT": "none", "HEAPSTER_STACKS": "512K"})}
        # Another allocator, for what we cost it, and what its own profiler does at the same distance between samples.
        jemalloc = Path(f"/usr/lib/{os.uname().machine}-linux-gnu/libjemalloc.so.2")
        over = {"LD_PRELOAD": f"{self.options.heapster / 'libheapster.so'}:{jemalloc}", "HEAPSTER_OUT": "none"}
        libraries |= zip(JEMALLOCS, ((jemalloc, {}), (jemalloc, {"MALLOC_CONF": "prof:true,lg_prof_sample:19"}),
                                     (jemalloc, over)))
        found = {"bare": {}}
        for name, (library, more) in libraries.items():
            if library.exists():
                found[name] = {"LD_PRELOAD": str(library), **more}
            else:
                self.notes.append(f"{name} is left out: no {library.name}")
        return found

    def some_subjects(self, *names):
        return {name: self.subjects[name] for name in names if name in self.subjects}

    def wants(self, name):
        return re.search(self.options.only, name) is not None

    def problem(self, text):
        self.problems.append(text)
        print(f"bench: {text}", file=sys.stderr)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run_workload(bench, subject, name, threads):
    """One process: its rounds in ns per operation, those on cores of their own and the others. Proves that malloc came
    from the subject's library."""
    options = bench.options
    command = [PARTS / "bench_workloads", name, str(threads), str(options.inner), str(options.milliseconds)]
    run = subprocess.run(command, env=bench.base | bench.subjects[subject], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    said = {"malloc": [], "ns": [], "shared": [], "apart": []}
    for line in run.stdout.splitlines():
        key, value = line.split(maxsplit=1)
        said[key].append(value)
    provider = Path(*said["malloc"]).name
    expected = Path(bench.subjects[subject].get("LD_PRELOAD", "libc.so.6").split(":")[0]).name
    if run.returncode != 0 or provider != expected:
        bench.problem(f"{name}, {threads} threads, {subject}: exit {run.returncode}, malloc from {provider or '?'}")
        return [], []
    bench.rounds_apart += len(said["apart"])
    bench.rounds_shared += len(said["shared"])
    return [[float(value) for value in said[key]] for key in ("ns", "shared")]


def undisturbed(turns):
    """subject -> its turns' figures, without those of shared cores, if at least a third of its turns have others."""
    enough = all(3 * sum(bool(alone) for alone, _ in own) >= len(own) for own in turns.values())
    return {subject: [alone if enough else alone + shared for alone, shared in own] for subject, own in turns.items()}


def measure_workloads(bench):
    """(workload, threads) -> subject -> one list of figures per turn, empty where the run failed."""
    cells = [cell for cell in WORKLOADS if bench.wants(cell[0])]
    samples = {cell: {subject: [] for subject in bench.subjects if takes_part(subject, *cell)} for cell in cells}
    for turn in range(bench.options.rounds if cells else 0):
        order = list(bench.subjects)[:: 1 if turn % 2 == 0 else -1]
        for name, threads in cells:
            for subject in order:
                if not takes_part(subject, name, threads):
                    continue
                progress(f"round {turn + 1}/{bench.options.rounds}: {name}, {threads} threads, {subject}")
                samples[name, threads][subject].append(run_workload(bench, subject, name, threads))
    if bench.rounds_shared:
        bench.notes.append(f"{bench.rounds_shared} rounds were repeated because somebody else used the core")
    if bench.rounds_apart:
        bench.notes.append(f"{bench.rounds_apart} rounds were dropped because their threads did not work together")
    return {cell: undisturbed(turns) for cell, turns in samples.items()}


def spawn(bench, label, rounds, environments, program):
    """Runs a program under each environment in turn: name -> [(wall, user, system) in microseconds], in rounds of which
    at least half of those asked for had their core alone; else in all."""
    progress(f"{label}: {rounds} rounds")
    arguments = []
    for variables in environments.values():
        arguments += ["--env", *(f"{name}={value}" for name, value in variables.items())]
    run = subprocess.run([PARTS / "bench_spawn", str(rounds), *arguments, "--", *map(str, program)],
                         env=bench.base, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        bench.problem(f"{label}: {run.stderr.strip()}")
        return {}
    samples = {had: {name: [] for name in environments} for had in ("alone", "shared")}
    for line in run.stdout.splitlines():
        number, *times, had = line.split()
        samples[had][list(environments)[int(number)]].append(tuple(map(float, times)))
    alone, shared = (len(samples[had][next(iter(environments))]) for had in ("alone", "shared"))
    if 2 * alone >= rounds:
        return samples["alone"]
    bench.notes.append(f"{label}: {shared} of {alone + shared} rounds shared their core, so all of them count")
    return {name: samples["alone"][name] + samples["shared"][name] for name in environments}


def measure_startup(bench):
    if not bench.wants("startup"):
        return {}
    environments = bench.some_subjects("bare", "pass-through")
    environments["a file alone"] = {"LD_PRELOAD": str(PARTS / "shim_file.so")}
    environments |= bench.some_subjects("before")
    if "heapster" in bench.subjects:
        environments["heapster"] = bench.subjects["heapster"]
        # A new name each time, as in real life: ext4 makes a rename over an existing file wait for the disk.
        pattern = {"HEAPSTER_OUT": f"{bench.scratch}/true.%p.heap"}
        environments["heapster, snapshot"] = environments["heapster"] | pattern
    return spawn(bench, "startup", bench.options.startups, environments, ["/bin/true"])


def of_one_size(environments):
    """The same variables for everybody: what others have, and a subject has not, it gets under a name without meaning.

    Programs put a copy of their environment onto the heap. Some bytes more or less there move all later blocks, to
    other places of their pages and cache lines, which may change what a program takes as much as we do."""
    everything = {}
    for variables in environments.values():
        everything |= variables
    return {subject: {name if name in own else f"X{name[1:]}": own.get(name, value)
                      for name, value in everything.items()}
            for subject, own in environments.items()}


def run_in_portions(bench, name, environments, command):
    """As many pairs again, up to three times, where those there are do not tell whether a limit is kept."""
    runs = {subject: [] for subject in environments}
    for _ in range(bench.options.portions):
        portion = spawn(bench, name, bench.options.pairs, environments, command)
        if not portion:
            return {}
        for subject, more in portion.items():
            runs[subject] += more
        if bench_report.is_decided(runs):
            break
    return runs


def measure_programs(bench):
    samples = {}
    for name, command in PROGRAMS.items():
        if not bench.wants(name):
            continue
        if not Path(command[0]).exists():
            bench.notes.append(f"{name} is left out: no {command[0]}")
            continue
        some = bench.some_subjects("bare", "heapster", "heapster, 512K", "before", "before, 512K")
        samples[name] = run_in_portions(bench, name, of_one_size(some), command) if len(some) >= 3 else {}
    return samples


def measure_capture(bench):
    """Nanoseconds for a stack of 16 frames: walked anew, the same again, and by libunwind."""
    part = PARTS / "bench_capture"
    if not bench.wants("capture"):
        return {}
    if not part.exists():
        bench.notes.append("taking a stack is left out: no libunwind to compare with")
        return {}
    columns = {"new": [], "again": [], "libunwind": []}
    for turn in range(bench.options.rounds):
        progress(f"round {turn + 1}/{bench.options.rounds}: capture")
        run = subprocess.run([part, "20"], env=bench.base, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            bench.problem(f"capture: exit {run.returncode}")
            return {}
        for line in run.stdout.splitlines():
            for column, figure in zip(columns.values(), line.split()):
                column.append(float(figure))
    return columns


@contextlib.contextmanager
def living_probe(bench, variables):
    """A small process that has used its heap and now waits; gives its resident KiB."""
    with subprocess.Popen([PARTS / "bench_probe"], env=bench.base | variables, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as probe:
        words = probe.stdout.readline().split()
        yield int(words[1]) if len(words) == 2 else None
        probe.stdin.close()


def measure_memory(bench):
    """Resident KiB per subject, and what heapster keeps on tmpfs and leaves in a snapshot, in bytes."""
    if not bench.wants("memory"):
        return {}
    resident = {subject: [] for subject in bench.some_subjects("bare", "pass-through", "heapster")}
    found = {"resident": resident}
    own = bench.run_dir / "probe"
    own.mkdir(mode=0o700)
    for _ in range(31):
        for subject in resident:
            with living_probe(bench, bench.subjects[subject] | {"HEAPSTER_RUN_DIR": str(own)}) as kib:
                resident[subject].append(kib)
                if subject == "heapster":
                    found["segment"] = sum(f.stat().st_blocks * 512 for f in own.rglob("*") if f.is_file())
    if "heapster" in resident:
        snapshot = bench.scratch / "probe.heap"
        with living_probe(bench, bench.subjects["heapster"] | {"HEAPSTER_OUT": str(snapshot)}):
            pass
        if snapshot.exists():
            found["snapshot"] = {"apparent": snapshot.stat().st_size, "allocated": snapshot.stat().st_blocks * 512}
        else:
            bench.problem("memory: heapster wrote no snapshot")
    return found


def measure_files(bench):
    """program -> subject -> bytes of the file with every stack: heaptrack's as its recorder writes it, our snapshot."""
    subjects = bench.some_subjects("heaptrack", "heapster, 1")
    if not bench.wants("files") or len(subjects) < 2:
        return {}
    pairs = [PARTS / "bench_workloads", "pair", "1", str(bench.options.inner), str(bench.options.milliseconds)]
    sizes = {}
    for name, command in {"pair": pairs, "perl": PROGRAMS["perl"], "sqlite3": PROGRAMS["sqlite3"]}.items():
        if not Path(command[0]).exists():
            continue
        progress(f"files: {name}")
        sizes[name] = {}
        for subject, variables in subjects.items():
            file = bench.scratch / f"{name}.{len(sizes[name])}"
            where = "HEAPSTER_OUT" if subject == "heapster, 1" else "DUMP_HEAPTRACK_OUTPUT"
            run = subprocess.run(list(map(str, command)), env=bench.base | variables | {where: str(file)},
                                 stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if run.returncode != 0 or not file.exists():
                bench.problem(f"files: {name}, {subject}: exit {run.returncode}, or no file")
                return {}
            sizes[name][subject] = file.stat().st_size
            file.unlink()
    return sizes


def measure_cli(bench):
    """What a person waits for: `heapster show FILE`, and `heapster list` while one process is being measured."""
    if not bench.wants("cli") or "heapster" not in bench.subjects:
        return {}
    if not bench.cli.exists():
        bench.notes.append("show and list are left out: no heapster command")
        return {}
    snapshot = bench.scratch / "cli.heap"
    with living_probe(bench, bench.subjects["heapster"] | {"HEAPSTER_OUT": str(snapshot)}):
        listed = spawn(bench, "list", bench.options.pairs * 2, {"bare": {}}, [bench.cli, "list"])
    shown = spawn(bench, "show", bench.options.pairs * 2, {"bare": {}}, [bench.cli, "show", snapshot])
    return {"show": shown.get("bare", []), "list": listed.get("bare", [])}


def parse_options():
    parser = argparse.ArgumentParser(prog="tools/bench.sh", description="Measures what heapster costs.")
    parser.add_argument("--quick", action="store_true", help="few rounds, about a minute: for a first look only")
    parser.add_argument("--rounds", type=int, help="processes per workload, thread count and subject (15)")
    parser.add_argument("--only", default="", metavar="REGEX", help="pair, mixed, realloc, scope, stats, capture, startup, "
                        "memory, files, cli, perl, sqlite3, cc1plus, python3: those that match")
    parser.add_argument("--heapster", metavar="DIR", help="measure this build instead of making build/release; or none")
    parser.add_argument("--before", metavar="DIR", type=Path, help="an earlier build, measured in turn with this one")
    parser.add_argument("--write-docs", action="store_true", help="write docs/performance.md")
    parser.add_argument("--json", action="store_true", help="print best, median and targets as JSON instead of tables")
    options = parser.parse_args()
    if options.write_docs and options.only:
        parser.error("--write-docs needs all the figures: leave --only away")
    if options.before and not (options.before / "libheapster.so").exists():
        parser.error(f"--before {options.before}: no libheapster.so")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    options.rounds = options.rounds or (3 if options.quick else 15)
    options.inner, options.milliseconds = (3, 20) if options.quick else (5, 30)
    options.startups, options.pairs, options.portions = (100, 7, 1) if options.quick else (500, 80, 2 if options.before else 4)
    options.before = options.before and options.before.resolve()
    options.heapster = Path(options.heapster or ROOT / "build/release").resolve()
    return options


def main():
    options = parse_options()
    with contextlib.ExitStack() as cleanup:
        scratch = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="heapster-bench-")))
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        run_dir = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="heapster-bench-", dir=shm)))
        bench = Bench(options, scratch, run_dir)
        report = bench_report.Report(
            options, load=os.getloadavg()[0], workloads=measure_workloads(bench), startup=measure_startup(bench),
            programs=measure_programs(bench), capture=measure_capture(bench), memory=measure_memory(bench), files=measure_files(bench),
            cli=measure_cli(bench), subjects=list(bench.subjects), notes=bench.notes, problems=bench.problems)
    progress("")
    print(report.as_json() if options.json else report.as_text())
    if options.write_docs:
        (ROOT / "docs").mkdir(exist_ok=True)
        (ROOT / "docs/performance.md").write_text(report.as_document(), encoding="utf-8")
    return 1 if bench.problems else 0


if __name__ == "__main__":
    if not (PARTS / "bench_workloads").exists():
        sys.exit("bench: start tools/bench.sh, which builds what is needed")
    sys.exit(main())
