# SPDX-License-Identifier: MIT
"""The pages of docs/tasks do what they say: tasks_test.py BUILD PAGE…

Each page is played in a scratch directory of its own, as a reader would: its programs (blocks of code whose first line
is a comment with a file name) are written there, then the commands of its ```console blocks (lines that begin with
"$ ") run in order, in one shell, and what each prints is held against the lines below it. There "…" within a line
stands for anything in that line, and a line of "…" alone for any number of lines: numbers of processes, times, and
what depends on the machine.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.abspath(sys.argv[1])
PAGES = [os.path.abspath(page) for page in sys.argv[2:]]
SECONDS = 60  # for a page, which takes two
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"(?://|#) ([\w-]+\.\w+)\n")
END_OF_OUTPUT = "\x1e"  # printed after each command; no page shows it


def programs_of(text):
    """{file name: content} of the blocks that say a file name."""
    blocks = (match[2] for match in FENCE.finditer(text) if match[1] != "console")
    return {name[1]: block for block in blocks if (name := FILE_NAME.match(block))}


def commands_of(text):
    """[(command, expected lines)], in the order of the page."""
    commands = []
    for block in (match[2] for match in FENCE.finditer(text) if match[1] == "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            else:
                commands[-1][1].append(line)
    return commands


def line_fits(expected, line):
    return re.fullmatch(".*".join(map(re.escape, expected.split("…"))), line) is not None


def fits(expected, lines):
    """Whether the lines are those of the page. `ends` are the numbers of lines that the page so far may account for."""
    ends = {0}
    for wanted in expected:
        if wanted.strip() == "…":
            ends = set(range(min(ends), len(lines) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(lines) and line_fits(wanted, lines[end])}
        if not ends:
            return False
    return len(lines) in ends


def write(path, content):
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    return path


def prepare(scratch, runs):
    """The commands of an installed heapster, in scratch/bin; the environment that has them in its PATH."""
    for directory in ("bin", "page"):
        os.mkdir(os.path.join(scratch, directory))
    for name, words in (("heapster", ""), ("heapster-run", " run")):
        path = os.path.join(scratch, "bin", name)
        write(path, f'#!/bin/sh\nexec "{BUILD}/heapster"{words} "$@"\n')
        os.chmod(path, 0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEAPSTER_")}
    kept.pop("DEBUGINFOD_URLS", None)
    return kept | {
        "PATH": os.path.join(scratch, "bin") + ":" + os.environ["PATH"],
        "HEAPSTER_RUN_DIR": runs,
        "XDG_CACHE_HOME": scratch,
        "LC_ALL": "C.UTF-8",
    }


def play(text):
    """What each command of the page printed, as lists of lines."""
    # Segments have to lie on a tmpfs, on which programs may not be allowed to run.
    with tempfile.TemporaryDirectory(prefix="heapster-tasks-") as scratch, \
            tempfile.TemporaryDirectory(prefix="heapster-tasks-", dir="/dev/shm") as runs:
        environment = prepare(scratch, runs)
        directory = os.path.join(scratch, "page")
        for name, content in programs_of(text).items():
            write(os.path.join(directory, name), content)
        # The exit status stays what it was, for a page that asks for it.
        script = write(os.path.join(scratch, "script"), "".join(
            f"{command}\n{{ s=$?; printf '{END_OF_OUTPUT}'; (exit $s); }}\n" for command, _ in commands_of(text)))
        with open(os.path.join(scratch, "output"), "w+", encoding="utf-8") as output:
            shell = subprocess.Popen(["bash", script], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                shell.wait(SECONDS)
            finally:
                end_session(shell)
            output.seek(0)
            return [told.splitlines() for told in output.read().split(END_OF_OUTPUT)[:-1]]


def end_session(shell):
    """Ends what the page left behind, and the page itself where a command of it hangs."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    shell.wait()


class Pages(unittest.TestCase):
    maxDiff = None

    def test_pages_print_what_they_show(self):
        self.assertTrue(PAGES)
        for page in PAGES:
            with open(page, encoding="utf-8") as file:
                text = file.read()
            commands = commands_of(text)
            with self.subTest(page=os.path.basename(page)):
                self.assertGreater(len(commands), 2, "the page shows hardly a command")
                printed = play(text)
                self.assertEqual(len(printed), len(commands), "the shell ended before the page did")
                for (command, expected), lines in zip(commands, printed):
                    if not fits(expected, lines):
                        self.fail(f"$ {command}\nThe page says:\n" + "\n".join(expected) + "\nIt printed:\n" +
                                  "\n".join(lines))


class Comparison(unittest.TestCase):
    """What holds pages to their word must be able to say no."""

    def test_lines_fit_as_they_are_or_by_ellipses(self):
        self.assertTrue(fits([], []))
        self.assertTrue(fits(["pid … ended", "…", "last"], ["pid 12 ended", "a", "b", "last"]))
        self.assertTrue(fits(["…"], []))
        self.assertTrue(fits(["a", "…"], ["a"]))

    def test_other_lines_do_not_fit(self):
        self.assertFalse(fits([], ["a"]))
        self.assertFalse(fits(["a"], []))
        self.assertFalse(fits(["a.c"], ["abc"]))
        self.assertFalse(fits(["pid …"], ["id 12"]))
        self.assertFalse(fits(["…", "last"], ["last", "more"]))
        self.assertFalse(fits(["a", "…", "b", "c"], ["a", "b", "x", "c"]))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
