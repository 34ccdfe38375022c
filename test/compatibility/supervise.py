# SPDX-License-Identifier: MIT
"""Starts programs, looks at them from outside, and leaves none behind.

What a program holds (its descriptors, its signal dispositions) has to be read at the same point of every run, or
runs cannot be compared. A program that runs to its end is therefore traced: the kernel stops it, and each program
that it started, at the moment of its exit, before anything of it is closed. A workload may ask for a look on the way
by sending itself SIGURG, which never arrives. Servers are not traced; they are looked at when they have come to rest.
"""
import ctypes
import os
import re
import signal
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
PTRACE_CONT, PTRACE_SEIZE, PTRACE_LISTEN = 7, 0x4206, 0x4208
TRACE_FORK, TRACE_VFORK, TRACE_EXIT, EXIT_KILL = 2, 4, 0x40, 0x100000
EVENT_EXIT, EVENT_STOP = 6, 128
PR_SET_CHILD_SUBREAPER = 36
WALL = 0x40000000
LOOK = signal.SIGURG
STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def children_of(pid):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(name))
    return found


def tree_of(pid):
    found = [pid]
    for child in children_of(pid):
        found += tree_of(child)
    return found


def what_is_open(pid):
    """(number, what it leads to, flags); numbers that the kernel gives out say nothing and are left out."""
    rows = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = re.sub(r"\[\d+\]", "", os.readlink(f"/proc/{pid}/fd/{name}"))
        with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
            flags = re.search(r"flags:\s*(\d+)", file.read())[1]
        rows.append([int(name), target, flags])
    return sorted(rows)


def look_at(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    masks = {name: int(status[key], 16) for name, key in
             (("blocked", "SigBlk"), ("ignored", "SigIgn"), ("caught", "SigCgt"))}
    return {"name": status["Name"], "open": what_is_open(pid), **masks}


class Supervisor:
    def __init__(self):
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.looks = []
        self.ended = {}
        self.traced = set()

    def start(self, argv, env, cwd, files, trace="no", user=None, ignore=()):
        """trace: 'no', 'alone' (this process only) or 'tree' (with every process that it starts)."""
        gate_out, gate_in = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become(argv, env, cwd, files, gate_out, user, ignore)
        os.close(gate_out)
        if trace != "no":
            options = TRACE_EXIT | EXIT_KILL | (TRACE_FORK | TRACE_VFORK if trace == "tree" else 0)
            self._ptrace(PTRACE_SEIZE, pid, options)
            self.traced.add(pid)
        os.write(gate_in, b"x")
        os.close(gate_in)
        return pid

    @staticmethod
    def _become(argv, env, cwd, files, gate, user, ignore):
        try:
            os.setsid()
            os.read(gate, 1)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            for number in ignore:
                signal.signal(number, signal.SIG_IGN)
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.closerange(3, 256)
            os.chdir(cwd)
            if user:
                os.initgroups(user.pw_name, user.pw_gid)
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            os.execvpe(argv[0], argv, env)
        except OSError as error:
            os.write(2, f"cannot start {argv[0]}: {error}\n".encode())
        finally:
            os._exit(127)

    @staticmethod
    def _ptrace(request, pid, data):
        return LIBC.ptrace(request, pid, None, ctypes.c_void_p(data))

    def wait(self, pid):
        """The exit status (negative: a signal) of a child."""
        while pid not in self.ended:
            self._handle(*os.waitpid(-1, WALL))
        return self.ended[pid]

    def wait_for_traced(self):
        while self.traced:
            self._handle(*os.waitpid(-1, WALL))

    def _handle(self, pid, status):
        if not os.WIFSTOPPED(status):
            self.ended[pid] = os.waitstatus_to_exitcode(status)
            self.traced.discard(pid)
            return
        self.traced.add(pid)
        number, event = os.WSTOPSIG(status), status >> 16
        if event == EVENT_EXIT or (event == 0 and number == LOOK):
            self.look(pid)
        if event == EVENT_STOP and number in STOPS:
            self._ptrace(PTRACE_LISTEN, pid, 0)
        else:
            self._ptrace(PTRACE_CONT, pid, number if event == 0 and number != LOOK else 0)

    def look(self, pid):
        try:
            self.looks.append(look_at(pid))
        except FileNotFoundError:
            pass

    def look_at_rest(self, pids_of):
        """Looks at the processes that pids_of() names, once two looks at them in a row were the same."""
        before = None
        while True:
            try:
                now = [look_at(pid) for pid in sorted(pids_of())]
            except FileNotFoundError:
                now = None
            if now is not None and now == before:
                self.looks += now
                return
            before = now
            time.sleep(0.1)

    def kill_all(self):
        while True:
            children = children_of(os.getpid())
            if not children:
                return
            for pid in children + list(self.traced):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    self.traced.discard(pid)
            try:
                self._handle(*os.waitpid(-1, WALL))
            except ChildProcessError:
                self.traced.clear()
