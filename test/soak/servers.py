# SPDX-License-Identifier: MIT
"""The two servers of the soak test: how each is started, loaded, asked for its live bytes, and stopped."""
import glob
import os
import pwd
import re
import signal
import socket
import subprocess
import time

WITNESS_SIGNAL = signal.SIGRTMIN + 6
TIMES_OUT = 30


def wait_until(condition, what):
    deadline = time.monotonic() + TIMES_OUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def catches_usr1(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        caught = int(re.search(r"SigCgt:\s*(\w+)", file.read())[1], 16)
    return bool(caught & 1 << (signal.SIGUSR1 - 1))


class Base:
    dump_signal = None
    started = []

    @classmethod
    def dump_signal_for(cls, bare):
        if any(catches_usr1(pid) for pid in bare.lasting_pids()):
            return "RTMIN+5", signal.SIGRTMIN + 5
        return "USR1", signal.SIGUSR1

    def stop(self):
        """Ends the whole session: the server may have children."""
        self.process.terminate()
        try:
            self.process.wait(TIMES_OUT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Redis(Base):
    unit = "requests/s"
    # The client that asks jemalloc is there while jemalloc answers, with its buffers, and gone when heapster is asked.
    slack = 64 * 1024

    def __init__(self, directory, settings, _witness, _run_dir=None):
        os.mkdir(directory)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        with open(os.path.join(directory, "log"), "wb") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", directory, "--save", "60 10000",
                 "--appendonly", "no"], env={**os.environ, **settings},
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True)
        self.started.append(self)
        wait_until(lambda: b"PONG" in self.ask("ping"), "redis does not answer")

    @staticmethod
    def version():
        return "redis " + re.search(r"v=(\S+)", subprocess.check_output(["redis-server", "--version"], text=True))[1]

    def ask(self, *words):
        return subprocess.run(["redis-cli", "-p", self.port, *words], capture_output=True, check=False).stdout

    def lasting_pids(self):
        return [self.process.pid]

    def load(self, seconds):
        """Requests per second over about that time."""
        begin = time.monotonic()
        done = 0
        while time.monotonic() - begin < seconds:
            subprocess.run(["redis-benchmark", "-p", self.port, "-q", "-n", "40000", "-P", "8", "-d", "200",
                            "-r", "50000", "-t", "set,get,hset,lpush,lpop"], stdout=subprocess.DEVNULL, check=True)
            done += 5 * 40000
        return done / (time.monotonic() - begin)

    def live(self, stats_of):
        wait_until(lambda: b"rdb_bgsave_in_progress:0" in self.ask("info", "persistence"), "a save does not end")
        wait_until(lambda: b"connected_clients:1\r" in self.ask("info", "clients"), "clients stay")
        told = self.ask("memory", "malloc-stats")
        # jemalloc counts as allocated what its threads' caches hold, and the caches themselves. Where there are several
        # arenas, their sum is printed first.
        allocated, internal, cached = (int(re.search(rb"^%s: +(\d+)" % name, told, re.M)[1])
                                       for name in (b"Allocated", b"internal", b"tcache_bytes"))
        theirs = allocated - internal - cached
        return [(stats_of(self.process.pid)["use_curr"], theirs, self.slack)]


class Session:
    """A psql that stays connected, so that its backend is there to be compared with itself later."""

    def __init__(self, command, environment):
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True)
        self.pid = int(self.ask("select pg_backend_pid();"))

    def ask(self, text):
        self.process.stdin.write(text + "\n\\echo done\n")
        self.process.stdin.flush()
        answer = []
        while (line := self.process.stdout.readline()) != "done\n":
            if not line:
                raise EOFError("psql has ended")
            answer.append(line)
        return "".join(answer)

    def end(self):
        self.process.stdin.close()
        self.process.wait(TIMES_OUT)


class PostgreSQL(Base):
    unit = "transactions/s"
    # No cache between program and malloc (see the tunable below): what is left are chunks that malloc made larger
    # than asked for by splitting, which both count, and pages of mapped blocks.
    slack = 16 * 1024
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]

    def __init__(self, directory, settings, witness, run_dir=None):
        self.directory = directory
        self.user = pwd.getpwnam("postgres")
        self.told = os.path.join(directory, "told")
        os.makedirs(self.told)
        for path in (directory, self.told, *([run_dir] if run_dir else [])):
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        data = os.path.join(directory, "data")
        self.run("initdb", "-D", data, "--no-sync", "-A", "trust", "--locale=C.UTF-8")
        preloads = " ".join(filter(None, [settings.get("LD_PRELOAD"), witness]))
        self.process = subprocess.Popen(
            [os.path.join(self.programs, "postgres"), "-D", data, "-k", directory, "-h", "", "-c", "fsync=off",
             "-c", "shared_buffers=64MB"],
            env={**os.environ, **settings, "LD_PRELOAD": preloads, "SOAK_WITNESS": self.told,
                 "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[])
        self.sessions = []
        self.started.append(self)
        wait_until(lambda: self.run("pg_isready", "-h", directory, check=False).returncode == 0, "no answer")
        self.run("pgbench", "-h", directory, "-i", "-q", "-s", "4", "postgres")
        psql = [os.path.join(self.programs, "psql"), "-X", "-q", "-At", "-h", directory, "-U", "postgres", "postgres"]
        for _ in range(3):
            self.sessions.append(Session(psql, os.environ))
        self.rounds = 0
        self.first = {}

    @classmethod
    def version(cls):
        return "PostgreSQL " + subprocess.check_output([os.path.join(cls.programs, "postgres"), "-V"],
                                                       text=True).split()[2]

    def run(self, program, *arguments, check=True):
        return subprocess.run([os.path.join(self.programs, program), *arguments], check=check, capture_output=True,
                              user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[], cwd="/", text=True)

    def lasting_pids(self):
        return [self.process.pid, *(session.pid for session in self.sessions)]

    def load(self, seconds):
        done = self.run("pgbench", "-h", self.directory, "-c", "4", "-j", "1", "-T", str(seconds), "-M", "prepared",
                        "-n", "postgres")
        return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])

    def live(self, stats_of):
        """By how much each session has grown since it was first compared. A session that just began to wait may still
        have some bytes to give back; at rest it answers the same twice."""
        rows = []
        self.rounds += 1
        for number, session in enumerate(self.sessions):
            session.ask(f"""
create temp table t{self.rounds} as select g, md5(g::text) from generate_series(1, 2000) g;
prepare p{self.rounds}(int) as select count(*), max(md5) from t{self.rounds} where g > $1 + {number};
execute p{self.rounds}(5);
do $$ declare s text := ''; begin for i in 1..500 loop s := s || i; end loop; end $$;""")
            stats, theirs = self.at_rest(session.pid, stats_of)
            ours = stats["use_curr"] + 8 * stats["live_count"]
            first = self.first.setdefault(session.pid, (ours, theirs))
            rows.append((ours - first[0], theirs - first[1], self.slack))
        return rows

    def at_rest(self, pid, stats_of):
        before = None
        while True:
            now = stats_of(pid)
            if before is not None and now["alloc_count"] == before[0]["alloc_count"]:
                return before
            before = now, self.told_by_malloc(pid)

    def told_by_malloc(self, pid):
        path = os.path.join(self.told, str(pid))
        os.kill(pid, WITNESS_SIGNAL)
        wait_until(lambda: os.path.exists(path), "the witness is silent")
        with open(path, encoding="ascii") as file:
            told = int(file.read())
        os.unlink(path)
        return told

    def stop(self):
        for session in self.sessions:
            session.end()
        self.process.send_signal(signal.SIGINT)
        super().stop()
