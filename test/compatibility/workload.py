# SPDX-License-Identifier: MIT
"""What a program's workload may use: a directory of its own, processes that are measured, and a record of both.

The workload is the same function in all runs; only `settings` (LD_PRELOAD and HEAPSTER_…, or nothing) differ.
"""
import hashlib
import os
import pwd
import re
import socket
import subprocess
import time

import supervise

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm",
    "DEBIAN_FRONTEND": "noninteractive",
}


class Failed(Exception):
    """The workload itself could not be done; that is no verdict on heapster."""


class Workload:
    def __init__(self, directory, settings, hide=()):
        self.dir = directory
        self.settings = settings
        self.hide = [(re.compile(pattern, re.M), put) for pattern, put in hide]
        self.record = []
        self.supervisor = supervise.Supervisor()
        self.env = {**ENVIRONMENT, "HOME": directory, "TMPDIR": directory}

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        os.utime(path, (1e9, 1e9))
        return path

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def own(self, user):
        """Hands the directory to a user, because some servers refuse to run as root."""
        entry = pwd.getpwnam(user)
        os.chown(self.dir, entry.pw_uid, entry.pw_gid)
        if self.settings:
            os.chown(self.settings["HEAPSTER_RUN_DIR"], entry.pw_uid, entry.pw_gid)

    def note(self, what, *values):
        self.record.append([self._hidden(value).splitlines() for value in (what, *values)])

    def note_file(self, name):
        self.note(f"contents of {name}", hashlib.sha256(self.read(name)).hexdigest())

    def tool(self, *argv, **options):
        """A step that only prepares: not measured, not compared, and it has to succeed."""
        done = subprocess.run(argv, env=self.env, cwd=self.dir, capture_output=True, check=False, **options)
        if done.returncode:
            raise Failed(f"{' '.join(argv)}: {done.stderr.decode(errors='replace')[-500:]}")
        return done.stdout.decode()

    def run(self, *argv, stdin=b"", trace="tree", user=None, env=None, in_order=True):
        """Runs a program to its end and records what it printed, how it ended, and what it held.

        `in_order` False: several processes print at once, and only what they print is the same each time."""
        out, err, pid = self._start(argv, stdin, trace, user, env)
        status = self.supervisor.wait(pid)
        self.supervisor.wait_for_traced()
        texts = [self._text(file) for file in (out, err)]
        if not in_order:
            texts = ["".join(sorted(text.splitlines(True))) for text in texts]
        self.note(" ".join(argv), *texts, str(status))
        return texts[0]

    def start(self, *argv, stdin=b"", user=None, env=None, ignore=()):
        """Starts a server. Its output is recorded when it is stopped."""
        out, err, pid = self._start(argv, stdin, "no", user, env, ignore)
        return Server(self, argv, pid, out, err)

    def _start(self, argv, stdin, trace, user, env, ignore=()):
        if isinstance(stdin, bytes):
            self.write("stdin", stdin)
            stdin = os.open(self.path("stdin"), os.O_RDONLY)
        count = len(self.record)
        files = [os.open(self.path(f"{name}.{os.path.basename(argv[0])}.{count}"),
                         os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666) for name in ("stdout", "stderr")]
        pid = self.supervisor.start(list(argv), {**self.env, **self.settings, **(env or {})}, self.dir,
                                    [stdin, *files], trace, user and pwd.getpwnam(user), ignore)
        os.close(stdin)
        return (*files, pid)

    def _text(self, file):
        with os.fdopen(file, "rb") as stream:
            stream.seek(0)
            return stream.read().decode(errors="backslashreplace")

    def _hidden(self, text):
        for pattern, put in self.hide:
            text = pattern.sub(put, text)
        return text

    def until(self, condition, what):
        """Waits for a condition; the time limit is that of the whole run."""
        while not condition():
            time.sleep(0.02)
        self.note(what)

    @staticmethod
    def free_port():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def listening(self, port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def hide_number(self, number, name):
        self.hide.append((re.compile(rf"\b{number}\b"), name))


class Server:
    def __init__(self, work, argv, pid, out, err):
        self.work, self.argv, self.pid, self.out, self.err = work, argv, pid, out, err

    def running(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"

    def ready(self, condition):
        def reached():
            if not self.running():
                raise Failed(f"{self.argv[0]} ended at its start: {self.printed()[-500:]}")
            return condition()
        self.work.until(reached, f"{self.argv[0]} is ready")

    def printed(self, number=2):
        """What it has printed so far, to stderr or stdout."""
        return self.work.read(os.readlink(f"/proc/self/fd/{self.err if number == 2 else self.out}"))

    def look(self, tree=True):
        self.work.supervisor.look_at_rest(lambda: supervise.tree_of(self.pid) if tree else [self.pid])

    def stop(self, number=None, in_order=True):
        """Sends the signal, or only waits, and records what the server printed."""
        if number:
            os.kill(self.pid, number)
        status = self.work.supervisor.wait(self.pid)
        texts = [self.work._text(file) for file in (self.out, self.err)]
        if not in_order:
            texts = ["".join(sorted(text.splitlines(True))) for text in texts]
        self.work.note(" ".join(self.argv), *texts, str(status))
