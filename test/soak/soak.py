#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server under load for minutes, measured, read and signalled all the while, beside the same server bare.

    soak.py redis|postgresql --heapster … --preload … --witness … --seconds 600 --results DIR
    soak.py page --results DIR          the results as the page docs/soak.md

Both servers run all the time. The load goes to one of them for some seconds, then to the other: pairs of windows, in
changing order, so that whatever else the machine does meets both. A reader shows the measured server ten times a
second, and once a second the dump signal is sent, in the windows of either. At rest, after each pair, heapster's
live bytes are compared with what the allocator says of itself.
"""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from servers import PostgreSQL, Redis

WINDOW = 5
SERVERS = {"redis": Redis, "postgresql": PostgreSQL}
NEVER_FALL = ("alloc_count", "alloc_sum", "dealloc_count", "dealloc_sum", "realloc_count", "usable_sum", "use_max",
              "realloc_growth_sum", "realloc_shrink_sum", "free_null_count")


class Reader(threading.Thread):
    """Shows the measured processes in turn, ten times a second, and sends the dump signal once a second."""

    def __init__(self, server, heapster, out):
        super().__init__(daemon=True)
        self.server, self.heapster, self.out = server, heapster, out
        self.errors, self.polls, self.signals, self.dumps = [], 0, 0, 0
        self.before = {}
        self.done = threading.Event()

    def run(self):
        due = time.monotonic()
        while not self.done.is_set():
            try:
                self.poll(self.polls)
            except Exception as error:  # whatever it is, the run has failed, and has to say so
                self.errors.append(repr(error))
            due = max(due + 0.1, time.monotonic())
            self.done.wait(due - time.monotonic())

    def poll(self, number):
        pids = self.server.lasting_pids()
        self.check(pids[number % len(pids)])
        self.polls += 1
        if number % 10 == 0:
            target = pids[number // 10 % len(pids)]
            os.kill(target, self.server.dump_signal)
            self.signals += 1
        if number % 10 == 9:
            self.take_dumps()

    def check(self, pid):
        shown = show(self.heapster, str(pid))
        stats, before = shown["stats"], self.before.get(pid, {})
        fallen = [name for name in NEVER_FALL if stats[name] < before.get(name, 0)]
        if fallen or shown["process"]["state"] != "running":
            self.errors.append(f"{pid}: {shown['process']['state']}, fell: {fallen}")
        self.before[pid] = stats

    def take_dumps(self):
        """Each dump is read and removed; the snapshots of processes that ended are only removed."""
        for name in os.listdir(self.out):
            if not name.endswith(".heap"):
                continue
            path = os.path.join(self.out, name)
            if name.count(".") == 3:
                show(self.heapster, path)
                self.dumps += 1
            os.unlink(path)

    def stop(self):
        self.done.set()
        self.join()
        deadline = time.monotonic() + 10
        while self.dumps < self.signals and time.monotonic() < deadline:
            self.take_dumps()
            time.sleep(0.1)
        if self.dumps != self.signals:
            self.errors.append(f"{self.signals} signals made {self.dumps} dumps")


def show(heapster, what):
    done = subprocess.run([heapster, "show", "--json", what], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return json.loads(done.stdout)


def median_with_interval(values):
    """The median, and the order statistics between which it lies with 95 %."""
    ordered = sorted(values)
    n = len(ordered)
    reach = 0.98 * math.sqrt(n)
    return (statistics.median(ordered), ordered[max(0, math.floor(n / 2 - reach))],
            ordered[min(n - 1, math.ceil(n / 2 + reach))])


def pairs_of_windows(bare, measured, reader, options):
    """(bare, measured) throughputs, and (ours, allocator's) live bytes after each pair."""
    rates, lives = [], []
    end = time.monotonic() + options.seconds
    while time.monotonic() < end or len(rates) < 6:
        order = [bare, measured] if len(rates) % 2 else [measured, bare]
        rate = {server: server.load(WINDOW) for server in order}
        rates.append((rate[bare], rate[measured]))
        lives += measured.live(lambda pid: show(options.heapster, str(pid))["stats"])
        if len(reader.errors) > 20:
            break
    return rates, lives


def soak(options, base, run_dir):
    out = os.path.join(base, "out")
    os.mkdir(out)
    os.chmod(out, 0o1777)
    os.chmod(base, 0o755)
    try:
        return soak_in(options, base, run_dir, out)
    finally:
        for server in SERVERS[options.server].started:
            server.stop()


def soak_in(options, base, run_dir, out):
    kind = SERVERS[options.server]
    bare = kind(os.path.join(base, "bare"), {}, options.witness)
    # A program that catches SIGUSR1 for itself keeps it; its dumps come on another signal.
    signal_name, number = kind.dump_signal_for(bare)
    measured = kind(os.path.join(base, "measured"), {
        "LD_PRELOAD": options.preload, "HEAPSTER_RUN_DIR": run_dir, "HEAPSTER_SIGNAL": signal_name,
        "HEAPSTER_OUT": os.path.join(out, "%e.%p.heap")}, options.witness, run_dir)
    measured.dump_signal = number
    os.environ["HEAPSTER_RUN_DIR"] = run_dir
    reader = Reader(measured, options.heapster, out)
    try:
        for server in (bare, measured):
            server.load(1)
        reader.start()
        rates, lives = pairs_of_windows(bare, measured, reader, options)
        reader.stop()
        coverage = show(options.heapster, str(measured.lasting_pids()[0]))["coverage"]
    finally:
        reader.done.set()
    return judged(kind, rates, lives, reader, signal_name, coverage, options)


def judged(kind, rates, lives, reader, signal_name, coverage, options):
    median, low, high = median_with_interval([measured / bare for bare, measured in rates])
    noise = statistics.median(abs(after[0] / before[0] - 1) for before, after in zip(rates, rates[1:]))
    away = max(abs(ours - theirs) for ours, theirs, _ in lives)
    errors = list(reader.errors)
    errors += [f"live {ours:,}, by the allocator {theirs:,}" for ours, theirs, slack in lives
               if abs(ours - theirs) > slack][:5]
    if high < 1 and 1 - median > noise:
        errors.append("throughput is below the bare server's by more than noise")
    return {"server": options.server, "version": kind.version(), "seconds": options.seconds, "pairs": len(rates),
            "polls": reader.polls, "signal": signal_name, "dumps": reader.dumps, "coverage": coverage["verdict"],
            "bare": statistics.median(bare for bare, _ in rates), "ratio": [median, low, high], "noise": noise,
            "unit": kind.unit, "live": max(abs(ours) for ours, _, _ in lives), "away": away,
            "slack": max(slack for _, _, slack in lives), "comparisons": len(lives), "errors": errors}


PAGE = """# Servers under load

Written by `tools/soak.sh --write-docs`. A bare server and a measured one run side by side, and the load goes to them
in turn, in windows of {window} seconds. All the while, the measured one is shown ten times a second and dumps on a
signal once a second. *Throughput* is the median of the measured window over the bare one of the same pair, with its
95 % interval; *noise* is by how much two successive bare windows differ (median). *Live* compares heapster's figure
with the allocator's own, at rest after each pair: for redis what jemalloc calls allocated, for PostgreSQL the growth
of three sessions by glibc's mallinfo2, without its chunk headers.

| server | time | pairs | throughput | noise | shown | dumps (signal) | live: furthest apart of up to (slack) | errors |
|---|---|---|---|---|---|---|---|---|
"""


def page(options):
    print(PAGE.format(window=WINDOW), end="")
    for name in SERVERS:
        with open(os.path.join(options.results, name + ".json"), encoding="utf-8") as file:
            r = json.load(file)
        median, low, high = (f"{100 * value:.1f} %" for value in r["ratio"])
        print(f"| {r['version']} | {r['seconds']} s | {r['pairs']} | {median} ({low} to {high}) of {r['bare']:,.0f} "
              f"{r['unit']} | {100 * r['noise']:.1f} % | {r['polls']:,} times | {r['dumps']} ({r['signal']}) | "
              f"{r['away']:,} B of {r['live']:,} B ({r['slack']:,} B), {r['comparisons']} times | "
              f"{'; '.join(r['errors']) or 'none'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", choices=[*SERVERS, "page"])
    parser.add_argument("--heapster")
    parser.add_argument("--preload")
    parser.add_argument("--witness")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--results", required=True)
    options = parser.parse_args()
    if options.server == "page":
        return page(options)
    base = tempfile.mkdtemp(prefix="hs.", dir="/tmp")
    run_dir = tempfile.mkdtemp(prefix="heapster-soak-", dir="/dev/shm")
    try:
        result = soak(options, base, run_dir)
    finally:
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(run_dir, ignore_errors=True)
    os.makedirs(options.results, exist_ok=True)
    with open(os.path.join(options.results, options.server + ".json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(json.dumps(result, indent=1))
    return 1 if result["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
