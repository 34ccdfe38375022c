# SPDX-License-Identifier: MIT
"""Each format of sampled stacks, read by the program that people read it with.

exports_test.py HEAPSTER PRELOAD SITES

The program `sites` says what it did at each of its places. Every allocation is sampled, so that the figures that the
readers print have to be the same, to the byte. Of flamegraph.pl, which Debian does not have, the rule that it reads by
is held to instead. Speedscope comes from npm and runs in a browser.
"""

import base64
import functools
import html
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

HEAPSTER, PRELOAD, SITES = (os.path.abspath(path) for path in sys.argv[1:4])
DH_VIEW = "/usr/libexec/valgrind/dh_view.js"
HERE = os.path.dirname(os.path.abspath(__file__))
WEIGHTS = ("alloc_blocks", "alloc_bytes", "live_blocks", "live_bytes")


def run(*command, check=True, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEAPSTER_")}
    environment.update(XDG_CACHE_HOME=work, HOME=work, PPROF_TMPDIR=work, HEAPSTER_RUN_DIR=runs, **variables)
    ended = subprocess.run(command, capture_output=True, text=True, cwd=work, env=environment)
    if check and ended.returncode != 0:
        raise AssertionError(f"{command}: {ended.returncode}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended


@functools.cache
def told():
    """What the program says of its places: {function: {weight: number}}."""
    out = run(SITES, LD_PRELOAD=PRELOAD, HEAPSTER_STACKS="1", HEAPSTER_OUT="snapshot").stdout
    lines = [line.split("\t") for line in out.splitlines()]
    return {line[0]: dict(zip(WEIGHTS, map(int, line[1:]))) for line in lines}


@functools.cache
def stats():
    told()
    return json.loads(run(HEAPSTER, "export", "-f", "json", "snapshot").stdout)["stats"]


def export(name, *options):
    told()
    run(HEAPSTER, "export", "-f", name, "-o", f"out.{name}", "snapshot", *options)
    return os.path.join(work, f"out.{name}")


def browse(page, *options):
    """What a page has become after its scripts ran."""
    return run("chromium", "--headless", "--no-sandbox", f"--user-data-dir={work}/chromium", *options, "--dump-dom",
               page).stdout


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def short(function):
    """As pprof shortens names."""
    return function.split("(")[0].split(" ")[0]


def expected(weight):
    return {short(function): figures[weight] for function, figures in told().items() if figures[weight] > 0}


class Pprof(unittest.TestCase):
    INDEXES = dict(alloc_objects="alloc_blocks", alloc_space="alloc_bytes", inuse_objects="live_blocks",
                   inuse_space="live_bytes")

    def top(self, *options):
        path = export("pprof")
        return run("go", "tool", "pprof", "-top", "-unit=B", "-nodefraction=0", "-edgefraction=0", "-nodecount=1000",
                   *options, path).stdout

    def flat(self, text):
        rows = re.findall(r"^ *(\d+)B? +\S+% +\S+% +\d+B? +\S+% +(.*)$", text, re.M)
        return {short(name): int(flat) for flat, name in rows if int(flat) > 0}

    def test_prints_our_figures(self):
        for index, weight in self.INDEXES.items():
            printed = self.flat(self.top(f"-sample_index={index}"))
            ours = {name: flat for name, flat in printed.items() if name.startswith("shop::")}
            self.assertEqual(ours, expected(weight), index)

    def test_adds_up_to_the_counters(self):
        for index, total in (("alloc_objects", "alloc_count"), ("inuse_space", "use_curr")):
            self.assertEqual(sum(self.flat(self.top(f"-sample_index={index}")).values()), stats()[total], index)

    def test_shows_live_bytes_unless_told_otherwise(self):
        self.assertIn("Type: inuse_space", self.top())

    def test_has_lines_inlined_functions_and_modules(self):
        raw = run("go", "tool", "pprof", "-raw", export("pprof")).stdout
        self.assertRegex(raw, r"M=1 shop::shelf_space \S*sites.cpp:\d+ s=0.*\n +shop::fill_shelf \S*sites.cpp:\d+ ")
        self.assertIn("alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes", raw)
        self.assertIn("PeriodType: space bytes", raw)
        build_id = json.loads(run(HEAPSTER, "export", "-f", "json", "snapshot").stdout)["process"]["build_id"]
        self.assertRegex(raw, rf"Mappings\n1: 0x\w+/0x\w+/0x0 {re.escape(SITES)} {build_id} \[FN\]\[FL\]\[LN\]\[IN\]")


class Heap(unittest.TestCase):
    OPTIONS = dict(inuse_objects="live_blocks", inuse_space="live_bytes", alloc_objects="alloc_blocks",
                   alloc_space="alloc_bytes")

    def test_prints_our_figures(self):
        path = export("heap")
        for option, weight in self.OPTIONS.items():
            ended = run("google-pprof", "--text", "--show_bytes", "--nodefraction=0", f"--{option}", SITES, path)
            rows = re.findall(r"^ *(\d+) +\S+% +\S+% +\d+ +\S+% (.*)$", ended.stdout, re.M)
            printed = {short(name): int(flat) for flat, name in rows if name.startswith("shop::") and int(flat) > 0}
            self.assertEqual(printed, expected(weight), option)
            self.assertNotIn("Adjusting", ended.stderr)  # that is, scaling up what is whole already


class Dhat(unittest.TestCase):
    def test_the_viewer_reads_our_figures(self):
        tree = json.loads(run("node", os.path.join(HERE, "dh_view.js"), DH_VIEW, export("dhat")).stdout)
        read = {}
        for point in tree["points"]:
            function = re.sub(r"^0x\w+: (.*) \(.*$", r"\1", point["frames"][1])
            if function.startswith("shop::"):
                read[function] = dict(zip(WEIGHTS, (point["totalBlocks"], point["total"], point["endBlocks"],
                                                    point["end"])))
                self.assertGreaterEqual(point["most"], max(point["peak"], point["end"]))
        self.assertEqual(read, told())
        self.assertEqual(tree["totalBlocks"], stats()["alloc_count"])
        self.assertEqual(tree["end"], stats()["use_curr"])

    def test_frames_are_as_the_firefox_profiler_takes_them(self):
        json_file = json.loads(text_of(export("dhat")))
        self.assertEqual(json_file["ftbl"][0], "[root]")
        for frame in json_file["ftbl"][1:]:
            self.assertRegex(frame, r"^0x[0-9a-f]+: .+ \((?:in .+|.+:\d+)\)$")


class Folded(unittest.TestCase):
    LEAST = re.compile(r"^(.*)\s+?(\d+(?:\.\d*)?)$")  # what flamegraph.pl takes for a stack

    def test_leaves_have_our_figures(self):
        for by, weight in dict(live="live_bytes", allocated="alloc_bytes", count="alloc_blocks").items():
            leaves = {}
            for line in text_of(export("folded", "--by", by)).splitlines():
                stack, number = self.LEAST.match(line).groups()
                leaf = stack.split(";")[-1]
                leaves[leaf] = leaves.get(leaf, 0) + int(number)
            ours = {short(leaf): number for leaf, number in leaves.items() if leaf.startswith("shop::")}
            self.assertEqual(ours, expected(weight), by)
        live = [self.LEAST.match(line) for line in text_of(export("folded")).splitlines()]
        self.assertEqual(sum(int(line[2]) for line in live), stats()["use_curr"])

    def test_begins_at_the_outermost_function(self):
        for line in text_of(export("folded")).splitlines():
            if "shop::" in line:
                self.assertRegex(line, r"^_start;.*;main;")


class Speedscope(unittest.TestCase):
    def test_keeps_the_rules_of_its_schema_and_has_our_figures(self):
        file = json.loads(text_of(export("speedscope", "--by", "allocated")))
        self.assertEqual(file["$schema"], "https://www.speedscope.app/file-format-schema.json")
        frames = file["shared"]["frames"]
        self.assertLessEqual(set().union(*frames), {"name", "file", "line", "col"})
        self.assertEqual(file["profiles"][file["activeProfileIndex"]]["name"], "bytes allocated")
        weights = ("live_bytes", "alloc_bytes", "alloc_blocks")
        for profile, weight in zip(file["profiles"], weights):
            self.assertEqual(set(profile),
                             {"type", "name", "unit", "startValue", "endValue", "samples", "weights"})
            self.assertEqual(profile["type"], "sampled")
            self.assertEqual(profile["unit"], "none" if weight == "alloc_blocks" else "bytes")
            self.assertEqual(len(profile["samples"]), len(profile["weights"]))
            self.assertEqual(profile["endValue"] - profile["startValue"], sum(profile["weights"]))
            leaves = {}
            for sample, number in zip(profile["samples"], profile["weights"]):
                leaf = frames[sample[-1]]["name"]
                leaves[leaf] = leaves.get(leaf, 0) + number
            ours = {short(leaf): number for leaf, number in leaves.items() if leaf.startswith("shop::")}
            self.assertEqual(ours, expected(weight))


@functools.cache
def speedscope():
    """The page of an importer that people use."""
    installed = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix",
                                f"{work}/importer", "speedscope@1.25.0"], capture_output=True, text=True)
    if installed.returncode != 0:
        if subprocess.run(["npm", "ping"], capture_output=True).returncode != 0:
            raise unittest.SkipTest("npm's registry does not answer")
        raise AssertionError(installed.stderr)
    return f"{work}/importer/node_modules/speedscope/dist/release/index.html"


def imported(path):
    """What speedscope shows of a file: {function: what it says of the function itself}, of ours."""
    with open(path, "rb") as file:
        content = base64.b64encode(file.read()).decode()
    with open(f"{path}.js", "w", encoding="utf-8") as script:
        script.write(f"speedscope.loadFileFromBase64({json.dumps(os.path.basename(path))}, {json.dumps(content)});\n"
                     "setInterval(() => window.dispatchEvent(new Event('resize')), 100);\n")  # it draws what fits, then
    dom = browse(f"file://{speedscope()}#localProfilePath={path}.js&view=sandwich", "--window-size=1200,30000",
                 "--enable-unsafe-swiftshader", "--allow-file-access-from-files", "--virtual-time-budget=10000")
    shown = {}
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", dom):
        cells = [html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        if len(cells) == 3 and cells[2].startswith("shop::"):
            shown[short(cells[2])] = cells[1].rsplit(" (", 1)[0]
    return shown


def in_words(number):
    return f"{number / 2**20:.2f} MB" if number >= 2**20 else f"{number / 2**10:.2f} KB"


class InSpeedscope(unittest.TestCase):
    def test_folded_has_our_figures(self):
        for by, weight in dict(live="live_bytes", allocated="alloc_bytes", count="alloc_blocks").items():
            shown = {name: int(said.replace(",", "")) for name, said in imported(export("folded", "--by", by)).items()}
            self.assertEqual({name: number for name, number in shown.items() if number != 0}, expected(weight), by)

    def test_its_own_format_has_our_figures(self):
        shown = imported(export("speedscope", "--by", "count"))
        self.assertEqual({name: int(said.replace(",", "")) for name, said in shown.items() if said != "0"},
                         expected("alloc_blocks"))
        shown = imported(export("speedscope", "--by", "allocated"))
        self.assertEqual({name: said for name, said in shown.items() if said != "0 B"},
                         {name: in_words(number) for name, number in expected("alloc_bytes").items()})


class Massif(unittest.TestCase):
    def test_ms_print_prints_the_trees(self):
        out = run("ms_print", "--threshold=0", export("massif")).stdout
        trees = re.split(r"\n100\.00% \(", out)[1:]
        self.assertEqual(len(trees), 2)  # at the peak and at the end
        at_the_end = re.findall(r"^->\S+% \(([\d,]+)B\) 0x\w+: (shop::.*) \(\S+:\d+\)$", trees[1], re.M)
        printed = {short(name): int(number.replace(",", "")) for number, name in at_the_end}
        self.assertEqual(printed, expected("live_bytes"))
        self.assertEqual(int(trees[1].split("B")[0].replace(",", "")), stats()["use_curr"])


class Flamegraph(unittest.TestCase):
    def shown(self, view=""):
        """The page after its script ran: {function: weight} of its frames, and its line of figures."""
        path = export("flamegraph")
        os.replace(path, path + ".html")
        dom = browse(f"file://{path}.html{view}", "--disable-gpu")
        frames = re.findall(r'<button type="button" class="(frame[ a-z]*)" title="([^"\n]*)\n([^"]*)"[^>]*'
                            r'data-weight="(\d+)"', dom)
        status = re.search(r'<p id="status"[^>]*>([^<]*)</p>', dom)[1]
        return frames, status

    def test_the_frames_have_our_figures(self):
        frames, status = self.shown()
        weights = {short(name): int(weight) for _, name, _, weight in frames if name.startswith("shop::")}
        self.assertEqual(weights, expected("live_bytes") | {"shop::fill_shelf": expected("live_bytes")["shop::shelf_space"]})
        self.assertIn(f"({stats()['use_curr']:,} B), 100.00 % of all", status)
        tips = {name: tip for _, name, tip, _ in frames}
        self.assertRegex(tips["shop::Cache::fill(int)"], r"\([\d,]+ B\), [\d.]+ % of all\n.*sites.cpp\nin sites")

    def test_another_weight_and_a_search(self):
        frames, status = self.shown("#by=allocated&search=cache::fill")
        weights = {short(name): int(weight) for _, name, _, weight in frames if name.startswith("shop::")}
        allocated = expected("alloc_bytes")
        self.assertEqual(weights, allocated | {"shop::fill_shelf": allocated["shop::shelf_space"]})
        self.assertEqual([name for kind, name, _, _ in frames if "found" in kind], ["shop::Cache::fill(int)"])
        self.assertRegex(status, rf"found: [\d.]+ MiB \({allocated['shop::Cache::fill']:,} B\)")

    def test_zoom(self):
        tree = json.loads(re.search(r'<script type="application/json" id="data">(.*)</script>',
                                    text_of(export("flamegraph")))[1])
        names = [tree["functions"][node[0]][0] for node in tree["nodes"]]
        frames, status = self.shown(f"#zoom={names.index('shop::fill_shelf()')}")
        self.assertEqual([short(name) for kind, name, _, _ in frames if "above" not in kind],
                         ["shop::fill_shelf", "shop::shelf_space"])
        self.assertTrue(status.startswith("shop::fill_shelf(): "), status)

    def test_the_page_loads_nothing(self):
        page = text_of(export("flamegraph"))
        self.assertNotRegex(page, r"(src|href)=|url\(|@import|https?:")
        self.assertIn("default-src 'none'", page)


class Refusals(unittest.TestCase):
    def refused(self, *arguments):
        ended = run(HEAPSTER, "export", *arguments, check=False)
        self.assertEqual((ended.returncode, ended.stdout), (2, ""))
        self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
        return ended.stderr

    def test_a_snapshot_without_stacks_has_none_of_these(self):
        run(SITES, LD_PRELOAD=PRELOAD, HEAPSTER_OUT="stackless")
        for name in ("pprof", "heap", "dhat", "folded", "speedscope", "flamegraph"):
            self.assertIn("HEAPSTER_STACKS", self.refused("-f", name, "stackless"))
        massif = run(HEAPSTER, "export", "-f", "massif", "stackless").stdout
        self.assertIn("(no stacks were recorded)", massif)

    def test_a_weight_that_does_not_exist_or_does_not_apply(self):
        told()
        self.assertIn("did you mean 'live'", self.refused("-f", "folded", "--by", "lives", "snapshot"))
        self.assertIn("--by is not for pprof", self.refused("-f", "pprof", "--by", "live", "snapshot"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory(dir="/dev/shm", prefix="heapster-test-") as runs:
        unittest.main(argv=sys.argv[:1], verbosity=2)
