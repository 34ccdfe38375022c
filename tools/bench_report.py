# SPDX-License-Identifier: MIT
"""Turns the benchmark's samples into tables, targets, JSON and docs/performance.md. Measures nothing.

Best and median are kept of every series: best is what the code costs when nothing disturbs it, median what it cost on
the day; far apart, they say that the machine was busy. Targets on nanoseconds compare best with best, but where a
luckily placed heap makes a best: those compare medians over turns; whole programs compare runs made one after the other
and take the median of the ratios. Tables are Markdown, on the terminal too.
"""

import datetime
import json
import math
import os
import re
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = {"pair": "malloc(64) + free", "mixed": "mixed sizes, 64 live", "realloc": "realloc 16 B to 64 KiB",
              "scope": "scope entered + left", "stats": "stats() read",
              "pair_beside": "malloc(64) + free, others rest", "large_beside": "malloc(100,000) + free, others rest",
              "growth_beside": "malloc(1,000) kept, others rest",
              "realloc_beside": "realloc 16 B to 64 KiB, others rest"}
# What a program may take more, in % of its user time.
PROGRAM_LIMITS = {"heapster": 2, "heapster, 512K": 3}
# What is shown of the cost over bare.
ADDITIONS = ("pass-through", "returning", "reference", "heapster")
# What is set beside each other where an earlier build was measured, too.
SINCE = (("heapster", "before"), ("heapster, 512K", "before, 512K"))


def summary(values):
    values = [value for value in values if value is not None]
    return {"best": min(values), "median": statistics.median(values), "runs": len(values)} if values else None


def output_of(*command):
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stdout.strip() if run.returncode == 0 else ""


def interval(values):
    """Where the true median lies with 95 % confidence, from the order of the values alone (binomial)."""
    ordered = sorted(values)
    low = max(0, math.floor(len(ordered) / 2 - 0.98 * math.sqrt(len(ordered))))
    return ordered[low], ordered[-1 - low]


def is_on_one_side(bounds, limit):
    low, high = bounds
    return high <= limit or low > limit


def is_decided(runs):
    """Whether a program's runs tell of each limit on which side of it they are."""
    return all(is_on_one_side(Report.compare(runs, subject)["user_interval"], limit)
               for subject, limit in PROGRAM_LIMITS.items())


def machine():
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^(?:model name|Processor)\s*: (.*)$", info, re.MULTILINE)
    return {
        "processor": (model[1] if model else os.uname().machine)
        + (" (virtual machine)" if re.search(r"\bhypervisor\b", info) else ""),
        "processors": os.cpu_count(),
        "kernel": "Linux " + os.uname().release.split("-")[0],
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        "compiler": output_of("c++", "--version").split("\n")[0],
        "revision": output_of("git", "describe", "--always", "--dirty"),
        "date": datetime.date.today().isoformat(),
    }


def table(header, rows):
    """Markdown with aligned columns: the first to the left, figures to the right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    pad = [str.ljust] + [str.rjust] * (len(header) - 1)
    lines = [[pad[i](row[i], widths[i]) for i in range(len(header))] for row in [header, *rows]]
    lines.insert(1, ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def both(figures, digits=1):
    return f"{figures['best']:.{digits}f} / {figures['median']:.{digits}f}" if figures else "–"


def unit(value, name, digits=1):
    return "–" if value is None else f"{value:.{digits}f} {name}"


def plural(threads):
    return f"{threads} thread" + ("s" if threads > 1 else "")


class Report:
    def __init__(self, options, load, workloads, startup, programs, capture, memory, files, cli, subjects, notes, problems):
        self.subjects, self.notes, self.problems = subjects, notes, problems
        self.machine = machine() | {"load": round(load, 2)}
        self.rounds = {"processes": options.rounds, "rounds": options.inner, "milliseconds": options.milliseconds,
                       "startups": options.startups, "pairs": options.pairs}
        self.workloads = {cell: {name: summary(sum(turns, [])) for name, turns in by_subject.items()}
                          for cell, by_subject in workloads.items()}
        self.turns = {cell: {name: [min(turn, default=None) for turn in turns] for name, turns in by_subject.items()}
                      for cell, by_subject in workloads.items()}
        self.startup = {name: summary([run[0] for run in runs]) for name, runs in startup.items()}
        self.programs = {name: self.compare(runs, "heapster") for name, runs in programs.items() if runs}
        self.with_stacks = {name: self.compare(runs, "heapster, 512K") for name, runs in programs.items() if runs}
        self.since = {f"{name}, {subject}": self.compare(runs, subject, base) for name, runs in programs.items() if runs
                      for subject, base in SINCE if base in runs}
        self.resident = {name: summary(values) for name, values in memory.get("resident", {}).items()}
        self.capture = {name: summary(values) for name, values in capture.items()}
        self.files = files
        self.segment, self.snapshot = memory.get("segment"), memory.get("snapshot")
        self.cli = {name: summary([run[0] / 1000 for run in runs]) for name, runs in cli.items()}

    @staticmethod
    def compare(runs, subject, base="bare"):
        """Ratios pair by pair, as percent added: user time, and user with system time (which the kernel splits
        by sampling, so that the sum is the steadier figure)."""
        bare, measured = runs[base], runs[subject]
        user = [100 * (b[1] / a[1] - 1) for a, b in zip(bare, measured) if a[1] > 0]
        total = [100 * ((b[1] + b[2]) / (a[1] + a[2]) - 1) for a, b in zip(bare, measured) if a[1] + a[2] > 0]
        seconds = {name: summary([run[1] / 1e6 for run in runs[name]]) for name in (base, subject)}
        return {"seconds": seconds, "user_added": statistics.median(user), "user_interval": interval(user),
                "best_added": Report.ratio(seconds[subject]["best"], seconds[base]["best"]),
                "cpu_added": statistics.median(total), "pairs": len(user)}

    def best(self, cell, subject):
        figures = self.workloads.get(cell, {}).get(subject)
        return figures["best"] if figures else None

    def added(self, cell, subject):
        """Best over bare's best, in ns."""
        figure, bare = self.best(cell, subject), self.best(cell, "bare")
        return None if figure is None or bare is None else figure - bare

    def share(self, cell, subject="heapster"):
        """What a subject adds, as percent of what the reference adds."""
        ours, reference = self.added(cell, subject), self.added(cell, "reference")
        return None if ours is None or not reference or reference <= 0 else 100 * ours / reference

    def share_of_turns(self, cell):
        """The same from the figures of one turn, taken within seconds of each other; the median over all turns. It
        does not depend on every subject having met the machine at its fastest."""
        of = self.turns.get(cell, {})
        shares = [100 * (ours - bare) / (reference - bare)
                  for bare, reference, ours in zip(*(of.get(name, []) for name in ("bare", "reference", "heapster")))
                  if None not in (bare, reference, ours) and reference > bare]
        return statistics.median(shares) if shares else None

    def typical(self, cell, subject):
        """The median over turns: a few processes meet a layout of memory in which the whole workload is faster by a
        quarter, and a best would be of one of those or of none."""
        turns = [turn for turn in self.turns.get(cell, {}).get(subject, []) if turn is not None]
        return statistics.median(turns) if turns else None

    def over(self, cell, subject, base):
        """What a subject costs over another, in ns, by the median over turns for the same reason."""
        of = self.turns.get(cell, {})
        found = [ours - theirs for ours, theirs in zip(of.get(subject, []), of.get(base, []))
                 if None not in (ours, theirs)]
        return statistics.median(found) if found else None

    @staticmethod
    def ratio(figure, base):
        return None if figure is None or not base else 100 * (figure / base - 1)

    def startup_added(self, subject):
        figures, bare = self.startup.get(subject), self.startup.get("bare")
        return figures["median"] - bare["median"] if figures and bare else None

    def resident_added(self, subject):
        figures, bare = self.resident.get(subject), self.resident.get("bare")
        return figures["median"] - bare["median"] if figures and bare else None

    def file_share(self, program):
        sizes = self.files.get(program)
        return 100 * sizes["heapster, 1"] / sizes["heaptrack"] if sizes and sizes["heaptrack"] else None

    def targets(self):
        """(what, limit, measured, unit, what to know besides); a figure that was not taken is None."""
        rows = [(f"{OPERATIONS['pair']}: added, as share of what the reference adds, {plural(threads)}", limit,
                 self.share(("pair", threads)), "%",
                 f"seeing the answer alone {unit(self.share(('pair', threads), 'returning'), '%')}")
                for threads, limit in ((1, 15), (2, 9))]
        rows += [(f"{OPERATIONS['pair']}: added, 1 thread (the aim)", 3, self.added(("pair", 1), "heapster"), "ns", "")]
        for name in ("pair", "mixed"):
            over = {subject: self.ratio(self.typical((name, 2), subject), self.typical((name, 1), subject))
                    for subject in ("bare", "heapster")}
            rows += [(f"{OPERATIONS[name]}: 2 threads over 1 thread, per operation", 25, over["heapster"], "%",
                      f"median of turns; bare itself {unit(over['bare'], '%')}")]
        growth = self.ratio(self.best(("realloc", 1), "heapster"), self.best(("realloc", 1), "bare"))
        rows += [("realloc growth over bare, 1 thread", 50, growth, "%", "the aim is 30 %")]
        for more, compared, limit in (
                ("", self.programs, PROGRAM_LIMITS["heapster"]),
                (" with stacks of one in 512 KiB", self.with_stacks, PROGRAM_LIMITS["heapster, 512K"])):
            for name in ("perl", "sqlite3", "cc1plus", "python3"):
                figures = compared.get(name)
                low, high = figures["user_interval"] if figures else (0, 0)
                sure = "" if is_on_one_side((low, high), limit) else ", too noisy to say"
                rows += [(f"{name}{more}: user time added, median of pairs", limit, figures and figures["user_added"],
                          "%", f"{low:+.1f} … {high:+.1f} % (95 %){sure}" if figures else "")]
        rows += [(f"{OPERATIONS['scope']}, from inside", 15, self.best(("scope", 1), "heapster"), "ns",
                  f"without heapster {unit(self.best(('scope', 1), 'bare'), 'ns')}"),
                 (f"{OPERATIONS['stats']}, from inside, 1 thread", 2000, self.best(("stats", 1), "heapster"), "ns", "")]
        for name, limit, in_percent in (("pair_beside", 10, True), ("large_beside", 25, False), ("growth_beside", 10, True)):
            few, many = self.best((name, 1), "heapster"), self.best((name, 4000), "heapster")
            grown = None if few is None or many is None else 100 * (many / few - 1) if in_percent else many - few
            rows += [(f"{OPERATIONS[name]}: beside 4,000 threads over beside 1", limit, grown, "%" if in_percent else "ns", "")]
        chain, bare = self.best(("realloc_beside", 1), "heapster"), self.best(("realloc_beside", 1), "bare")
        rows += [(f"{OPERATIONS['realloc_beside']}: over bare, beside 1 thread", 60,
                  None if chain is None or not bare else 100 * (chain / bare - 1), "%", "")]
        profiler = self.over(("mixed", 1), "jemalloc, profiler", "jemalloc")
        for name, limit in (("pair", 0.6), ("mixed", None if profiler is None else round(profiler, 1))):
            armed = None if limit is None else self.over((name, 1), "heapster, 512K", "heapster")
            rows += [(f"{OPERATIONS[name]}: stacks of one in 512 KiB, over counting alone, 1 thread", limit, armed, "ns",
                      "median of turns; the limit is what jemalloc's profiler adds to jemalloc" if name == "mixed"
                      else "median of turns")]
        for threads, limit in ((1, 50), (2, 25)):
            every, theirs = self.best(("pair", threads), "heapster, 1"), self.best(("pair", threads), "heaptrack")
            rows += [(f"{OPERATIONS['pair']}: every stack, as share of heaptrack's cost, {plural(threads)}", limit,
                      None if every is None or not theirs else 100 * every / theirs, "%", "")]
        taken = {name: figures and figures["median"] for name, figures in self.capture.items()}
        rows += [("a stack of 16 frames taken, its rows in the cache", 250, taken.get("new"), "ns",
                  f"median; the same again {unit(taken.get('again'), 'ns')}, libunwind's cached path "
                  f"{unit(taken.get('libunwind'), 'ns')}")]
        rows += [(f"{OPERATIONS['pair']}: every stack, our file as share of heaptrack's", 1, self.file_share("pair"), "%",
                  ", ".join(f"{name} {unit(self.file_share(name), '%')}" for name in self.files if name != "pair"))]
        shown, listed = ((self.cli.get(name) or {}).get("median") for name in ("show", "list"))
        return rows + [
            ("start-up of true, added", 100, self.startup_added("heapster"), "µs",
             f"pass-through {unit(self.startup_added('pass-through'), 'µs')}, "
             f"a file alone {unit(self.startup_added('a file alone'), 'µs')}"),
            ("start-up of true, added, with a snapshot at exit", 100, self.startup_added("heapster, snapshot"), "µs",
             ""),
            ("resident memory added, 1 thread", 400, self.resident_added("heapster"), "KiB",
             f"pass-through {unit(self.resident_added('pass-through'), 'KiB')}"),
            ("tmpfs used, 1 thread", 256, None if self.segment is None else self.segment / 1024, "KiB", ""),
            ("snapshot, 1 thread", 64, self.snapshot["apparent"] / 1024 if self.snapshot else None, "KiB", ""),
            ("heapster show, median", 20, shown, "ms", ""),
            ("heapster list, median", 20, listed, "ms", "")]

    def operations(self, subjects):
        rows = [[f"{OPERATIONS[name]}, {plural(threads)}", *(both(figures.get(subject)) for subject in subjects)]
                for (name, threads), figures in self.workloads.items()]
        if self.startup:
            rows.append(["start-up of true, µs"] + [both(self.startup.get(name), 0) for name in subjects])
        return rows

    def additions(self):
        return [[f"{OPERATIONS[cell[0]]}, {plural(cell[1])}",
                 *(unit(self.added(cell, name), "ns") for name in ADDITIONS),
                 unit(self.share(cell), "%"), unit(self.share_of_turns(cell), "%")] for cell in self.workloads]

    def changes(self):
        """Each workload's figures with this build over those of the earlier one, turn by turn."""
        rows = []
        for cell in self.workloads:
            for subject, base in SINCE:
                change = self.over(cell, subject, base)
                if change is not None:
                    best = self.best(cell, subject) - self.best(cell, base)
                    rows.append([f"{OPERATIONS[cell[0]]}, {plural(cell[1])}, {subject}", unit(change, "ns", 2), unit(best, "ns", 2)])
        rows += [[f"{name}, user time", f"{figures['user_added']:+.1f} %", f"{figures['best_added']:+.1f} %"]
                 for name, figures in self.since.items()]
        return rows

    def comparisons(self):
        return [[name + more, *(both(seconds, 3) for seconds in figures["seconds"].values()),
                 f"{figures['user_added']:+.1f} %", "{:+.1f} … {:+.1f} %".format(*figures["user_interval"]),
                 *(f"{figures[key]:+.1f} %" for key in ("best_added", "cpu_added"))]
                for more, compared in (("", self.programs), (", 512K", self.with_stacks))
                for name, figures in compared.items()]

    def other_figures(self):
        rows = [[f"start-up of true, added by {name}", unit(self.startup_added(name), "µs", 0)]
                for name in self.startup if name not in ("bare", "before")]
        rows += [[f"resident memory, {name}", unit(figures["median"], "KiB", 0)]
                 for name, figures in self.resident.items() if figures]
        rows += [["segment on tmpfs", unit(self.segment / 1024, "KiB")]] if self.segment is not None else []
        rows += [[f"snapshot file, {name} size", unit(size / 1024, "KiB")]
                 for name, size in (self.snapshot or {}).items()]
        rows += [[f"file with every stack, {name}, {subject}", unit(size / 1024, "KiB", 0)]
                 for name, sizes in self.files.items() for subject, size in sizes.items()]
        rows += [[f"heapster {name}, best / median", both(figures) + " ms"] for name, figures in self.cli.items()]
        return rows

    def sections(self, since=True):
        """(title, explanation, table) of all that was measured; `since`: with an earlier build."""
        shown = self.subjects if since else [name for name in self.subjects if not name.startswith("before")]
        measured = "heapster" in self.subjects
        found = [
            ("Cost of an operation",
             "ns per operation, best / median. An operation of the last workload is a chain of malloc(16), 12 reallocs "
             "and free. With more threads than processors it includes waiting for one.",
             ["", *shown], self.operations(shown)),
            ("Cost added over bare",
             "Best against best; share is heapster's part of what the reference adds. What the pass-through adds is "
             "the price of standing in front of the allocator at all, and what the returning shim adds that of seeing "
             "its answers, which whoever counts has to.",
             ["", *ADDITIONS, "share", "share, median of turns"],
             self.additions() if measured else []),
            ("Change since the earlier build",
             "What this build takes more than the one that --before names: the median over turns or pairs, and best over "
             "best.", ["", "median", "best"], self.changes()),
            ("Whole programs",
             "User time in seconds, best / median, descendants included; added is the median over pairs of runs, with "
             "the interval that holds the true median at 95 % confidence. System time counts in the last column. All "
             "have an environment of one size, since programs copy it onto their heap.",
             ["", "bare", "heapster", "user added", "95 %", "best over best", "user + system added"],
             self.comparisons()),
            ("Start-up, memory, commands", "Medians. Memory is that of a small program with one thread.",
             ["", "measured"], self.other_figures()),
        ]
        return [(title, text, table(header, rows)) for title, text, header, rows in found if rows]

    def targets_table(self):
        rows = [[what, "–" if limit is None else f"≤ {limit} {name}", "not measured" if figure is None else unit(figure, name),
                 "–" if figure is None else "met" if figure <= limit else "NOT MET", besides]
                for what, limit, figure, name, besides in self.targets()]
        return table(["target", "limit", "measured", "verdict", "besides"], rows)

    def as_text(self):
        about = ", ".join(f"{key} {value}" for key, value in self.machine.items())
        parts = [about] + [f"{title}: {text}\n\n{body}" for title, text, body in self.sections()]
        parts += ["Targets\n\n" + self.targets_table()]
        parts += ["\n".join(f"note: {note}" for note in self.notes)] if self.notes else []
        return "\n\n".join(parts)

    def as_json(self):
        return json.dumps({
            "machine": self.machine, "rounds": self.rounds,
            "workloads": [{"workload": name, "threads": threads, "ns": figures}
                          for (name, threads), figures in self.workloads.items()],
            "startup_us": self.startup, "programs": self.programs, "programs_with_stacks": self.with_stacks,
            "resident_kib": self.resident, "capture_ns": self.capture,
            "file_bytes": self.files,
            "segment_bytes": self.segment, "snapshot_bytes": self.snapshot, "cli_ms": self.cli,
            "targets": [{"target": what, "limit": limit, "measured": figure, "unit": name,
                         "met": None if figure is None else figure <= limit}
                        for what, limit, figure, name, _ in self.targets()],
            "notes": self.notes, "problems": self.problems}, indent=2)

    def as_document(self):
        rounds = self.rounds
        lines = ["<!-- Written by tools/bench.sh --write-docs. Do not edit: run it again. -->", "# Performance", "",
                 "What heapster costs, measured on one machine on one day; the differences matter, not the absolute "
                 "figures. To repeat: `tools/bench.sh` (20 to 50 minutes, nothing else running), or `tools/bench.sh "
                 "--quick` for a first look.", "",
                 table(["machine", ""], [[key, value] for key, value in self.machine.items()]), "",
                 "## Targets", "", self.targets_table(), ""]
        for title, text, body in self.sections(since=False):
            lines += [f"## {title}", "", text, "", body, ""]
        lines += ["## Method", "",
                  f"Each cell of the first table: {rounds['processes']} processes of {rounds['rounds']} rounds of "
                  f"about {rounds['milliseconds']} ms, visited in turn over the subjects, every other turn backwards. "
                  "One thread is the main thread, on one processor; more threads get one each if there are "
                  "enough, and rounds in which they did not work together are dropped. So are rounds, of programs, too, "
                  "in which somebody else used the core, as a loop tells that runs before and after each "
                  "(`test/bench/core_watch.h`). "
                  f"Start-up: {rounds['startups']} runs each. Whole programs: {rounds['pairs']} pairs, and as many "
                  "again, up to three times, where a limit lies in their interval. `load` is the load average before "
                  "the run.", "",
                  "- **bare**: nothing preloaded.",
                  "- **pass-through** (`test/bench/shim_pass.c`): calls through a pointer, counts nothing.",
                  "- **returning** (`test/bench/shim_return.c`): sees what the allocator answers, counts nothing.",
                  "- **reference** (`test/bench/shim_reference.c`): relaxed atomic adds on counters that all threads "
                  "share.",
                  "- **a file alone** (`test/bench/shim_file.c`): what a start costs that makes, maps and removes a "
                  "file, and does nothing else.",
                  "- **libmemusage**: glibc's own, its report thrown away.",
                  "- **heaptrack**: its preload writing to /dev/null, without its interpreter; the sizes of its files "
                  "are those of what it writes, which heaptrack's script then interprets and compresses.",
                  "- **heapster**: without a snapshot at exit, unless said otherwise.",
                  "- **jemalloc** and **jemalloc, profiler**: that allocator, and the same with its own sampling of one "
                  "block in 512 KiB, for comparison with heapster, 512K. **jemalloc, heapster**: heapster over it.",
                  "- **heapster, 512K** and **heapster, 1**: with stacks of one block in 512 KiB on average, and of "
                  "every block (HEAPSTER_STACKS).", "",
                  *[f"- note: {note}" for note in self.notes]]
        return "\n".join(lines).rstrip() + "\n"
