# SPDX-License-Identifier: MIT
"""The list of programs: what they are, which Debian packages bring them, and which workload is theirs."""
import os
from dataclasses import dataclass
from typing import Callable

import compilers
import desktop
import languages
import servers
import tools

# Times and chance: different in each run, with heapster or without.
DATED = (r"^.*\b20\d\d\b.*\d\d:\d\d:\d\d(\.\d+\b| \[error\] [\d#]+:)", "WHEN AND WHO")
DATE = (r"^Date: .*", "DATE")
# bash closes the pipe of a process substitution when it happens to learn that the other side has ended.
SUBSTITUTION = (r', \[6\d, "pipe:", "\d+"\]', "")
# Of make's children only one at a time gets the real stdin.
STDIN = (r'\[0, "[^"]*", "\d+"\]', "STDIN")


@dataclass(frozen=True)
class Program:
    name: str
    packages: list
    executables: list               # whose allocations must have been counted
    workload: Callable
    heavy: bool = False             # runs last
    seconds: int = 60               # the time limit of one run
    as_root: bool = False
    blind: bool = False             # has its own malloc, or is static: heapster must say that it sees nothing
    loose: bool = False             # its threads open files as it happens: not under which numbers and how often
    hide: tuple = ()                # (pattern, what to put there), for what is a matter of chance
    unlooked: tuple = ()            # names of processes whose life or descriptors are a matter of chance


PROGRAMS = [
    Program("bash", ["bash"], ["bash"], tools.bash, hide=(SUBSTITUTION,)),
    Program("dash", ["dash"], ["dash"], tools.dash),
    Program("coreutils", ["coreutils"], ["sort", "ls", "cp", "du", "split", "sha256sum"], tools.coreutils,
            hide=((r"/tac\w{6}\b", "/tacXXXXXX"),)),
    Program("findutils", ["findutils"], ["find", "xargs"], tools.findutils),
    Program("git", ["git"], ["git"], tools.git),
    Program("make", ["make", "gcc"], ["make"], tools.make, hide=(STDIN,)),
    Program("apt", ["apt"], ["apt-get", "apt-cache"], tools.apt,
            unlooked=("file",),  # a method of apt-get, which ends it at some point of its work
            hide=((r"^(Fetched|.*\d+ B).*$", "FETCHED"),)),
    Program("man-db", ["man-db", "groff-base"], ["man", "mandb"], tools.man_db,
            hide=((r"/cat7/[^\"]*", "/cat7/PAGE"), (r"/man/\d+", "/man/NUMBER"),)),
    Program("file", ["file"], ["file"], tools.file),
    Program("openssh", ["openssh-client", "openssh-server"], ["ssh", "sftp", "sshd"], servers.openssh, as_root=True,
            hide=((r"SHA256:\S+", "KEY"), (r"port \d+", "port"))),
    Program("perl", ["perl"], ["perl"], languages.perl),
    Program("python3", ["python3", "g++", "libpython3-dev"],
            [os.path.basename(os.path.realpath("/usr/bin/python3"))], languages.python3),
    Program("nodejs", ["nodejs"], ["node"], languages.nodejs, heavy=True),
    Program("java", ["openjdk-17-jdk-headless"], ["java", "javac"], languages.java, heavy=True, seconds=180),
    Program("go", ["golang-go", "gcc"], ["calls"], languages.go),
    Program("rustc", ["rustc"], ["rustc"], compilers.rustc, heavy=True, seconds=120),
    Program("gcc", ["gcc", "g++"], ["cc1", "cc1plus", f"{os.uname().machine}-linux-gnu-as"], compilers.gcc,
            hide=((r"/cc\w{6}\b", "/ccXXXXXX"),)),
    Program("clang", ["clang"], ["clang"], compilers.clang, hide=((r"-[0-9a-f]{6,8}\.o", "-X.o"),)),
    Program("sqlite3", ["sqlite3"], ["sqlite3"], tools.sqlite3),
    Program("redis", ["redis-server", "redis-tools"], ["redis-check-rdb", "redis-cli"], servers.redis,
            hide=(DATED, (r"pid=\d+", "pid"))),
    Program("postgresql", ["postgresql"], ["postgres", "psql", "initdb", "pg_dump"], servers.postgresql, heavy=True,
            seconds=180, as_root=True,
            hide=((r"restrict \w+", "restrict KEY"), (r"PID \d+", "PID"), (r"20\d\d-.*GMT", "DATE"))),
    Program("nginx", ["nginx-light", "curl"], ["nginx", "curl"], servers.nginx, as_root=True,
            hide=(DATE, DATED)),
    Program("apache2", ["apache2", "libapache2-mod-php", "curl"], ["apache2", "curl"], servers.apache2, heavy=True,
            as_root=True, hide=(DATE, (r"^\[[A-Z].*?\] ", ""), (r"\[pid [^\]]*\]", ""), (r"ZendSem\.\w+", "ZendSem"))),
    Program("memcached", ["memcached"], ["memcached"], servers.memcached),
    Program("gdb", ["gdb", "gcc"], ["gdb"], compilers.gdb, heavy=True,
            hide=((r"process \d+", "process"), (r"argv=0x\w+", "argv=STACK"))),
    Program("xvfb", ["xvfb", "x11-utils"], ["Xvfb", "xdpyinfo", "xprop"], desktop.xvfb, heavy=True),
    Program("tmux", ["tmux"], ["tmux"], desktop.tmux),
    Program("chromium", ["chromium"], ["chromium"], desktop.chromium, heavy=True, seconds=180, blind=True, loose=True,
            hide=((r'"/memfd:shared-memory-region \(deleted\)", "\d+"', '"/memfd", ""'),
                  (r"^\[\d+:\d+:.*\n", ""), (r"^(/usr/bin/chromium: \d+: ).*\n", r""))),
]
