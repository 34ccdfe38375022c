# SPDX-License-Identifier: MIT
"""Shells and the programs that they call: short lives, many forks, descriptors handed on."""
import os

BASH = r"""
trap 'echo caught USR1' USR1
trap 'echo caught USR2' USR2
trap 'echo leaving' EXIT
kill -USR1 $$
kill -USR2 $$
declare -A table
for i in {1..2000}; do table[$i]="value $i"; done
echo "${#table[@]} ${table[1999]}"
seq 1 500 | while read -r n; do printf '%d\n' $((n * n)); done | sort -rn | head -n 3
exec 7<"$0"
read -r -u 7 line
echo "$line"
comm -12 <(seq 5) <(seq 3 9)
kill -URG $$
coproc cat
echo through the coprocess >&"${COPROC[1]}"
read -r -u "${COPROC[0]}" answer
echo "$answer"
exec {COPROC[1]}>&-
(exit 3)
echo "$?"
no-such-command
echo "$?"
mapfile -t rows < <(seq 100)
wait
echo "${rows[*]:95}" >&2
exit 7
"""

DASH = r"""
trap 'echo leaving' EXIT
trap 'echo caught USR2' USR2
kill -USR2 $$
i=0
while [ $i -lt 300 ]; do eval "v$i=$(($i * $i))"; i=$((i + 1)); done
echo $v299
exec 5>>log 6<"$0"
echo one >&5
read -r first <&6
kill -URG $$
(sleep 0; exit 4) &
wait $!
echo "$? $first"
cat <<END | tr a-z A-Z
here $v17
END
set -u
echo $undefined
"""

COREUTILS = r"""
seq 30000 | sort --parallel=2 --random-source="$0" -R | sort -n | tail -n 2
seq 20000 | sort -S 64K -T . -r | sha256sum
seq 1000 | split -l 300 - part.
cat part.* | tac | head -n 1
mkdir -p tree/a/b && touch -d @1000000000 tree/a/b/c tree/d && ln -s a tree/link
cp -a tree copy && ls -lRn --time-style=+%s copy | sed 's/ [0-9]\{10\} / TIME /'
du -a --apparent-size copy/a/b/c
stat -c '%n %s %a %Y' copy/d
printf 'b 2\na 1\n' | sort >left; printf 'a x\nb y\n' >right; join left right
printf 'one two\ntwo three\n' | ptx -G | wc
echo 123456789 | numfmt --to=iec
seq 100 | od -An -tx1 | md5sum
seq 10 | paste -sd+ | tee sum | wc -c
factor 12 97
date -u -d @86400 +%F
seq 300 | shuf --random-source="$0" | uniq | wc -l
timeout 10 tsort part.aa | wc -l
nl -ba part.ad | fold -w 20 | expand | tail -n 1
ls no-such-file
rm -r tree copy
"""

FIND = r"""
mkdir -p t/{a,b,c}/{1,2,3}/{x,y}
for d in t/*/*/*; do echo "$d" >"$d/file"; ln -s file "$d/link"; done
find t -type f -printf '%p %s %m %y\n' | sort | sha256sum
find t -name file -newermt 2000-01-01 -exec sh -c 'cat "$@" | wc -l' _ {} +
find t \( -name x -prune \) -o -type l -print0 | sort -z | xargs -0 -n 2 -P 2 ls -d | sort
find t -regex '.*/[12]/.*file' -size -2k -execdir echo {} \; | sort | uniq -c
find t -empty; find t -path '*3*' -delete; find t | wc -l
seq 5000 | xargs -s 1000 echo | wc -l
echo failing | xargs sh -c 'exit 255'
echo $?
find no-such-directory
"""

GIT = r"""
export GIT_AUTHOR_DATE='2001-09-09T01:46:40Z' GIT_COMMITTER_DATE='2001-09-09T01:46:40Z'
git config --global user.name tester
git config --global user.email tester@example.org
git config --global gc.autoDetach false
git init -q -b main repo && cd repo
for i in $(seq 12); do
  for f in a b c; do seq $((i * 50)) | sed "s/^/$f /" >$f.txt; done
  git add . && git commit -q -m "change $i"
done
git checkout -q -b side HEAD~4 && echo side >side.txt && git add . && git commit -q -m side
git checkout -q main && git merge -q -m merge side
git log --graph --stat --format='%h %s' | tail -n 40
git log -p -3 | sha256sum
git grep -n --threads=2 'a 59[0-9]' | head -n 3
git blame a.txt | tail -n 1
git gc -q --prune=now && git fsck --strict && git count-objects -v | grep -v size
git clone -q . ../clone && git -C ../clone rev-parse HEAD
git checkout -b conflict HEAD~2 && echo x >a.txt && git commit -qam x && git rebase main
git status --short
"""

MAKEFILE = """\
PARTS := $(addsuffix .o,$(basename $(wildcard part*.c)))
prog: main.o $(PARTS)
\t$(CC) -o $@ $^
%.o: %.c parts.h
\t$(CC) -O1 -c -o $@ $<
check: prog
\t./prog
.PHONY: check
"""

PAGE = """\
.TH DEMO 7 2001-09-09 heapster
.SH NAME
demo \\- a page to be shown
.SH DESCRIPTION
.B Bold
and
.I italic
words, and a table:
.TS
l l.
one\ttwo
.TE
""" + ".PP\nA paragraph that is long enough to be filled by the formatter, again and again.\n" * 40


def shell(work, name, text, *with_shell):
    work.write(name, text)
    work.run(*with_shell, work.path(name))


def bash(work):
    shell(work, "script", BASH, "bash")


def dash(work):
    shell(work, "script", DASH, "dash")


def coreutils(work):
    shell(work, "script", COREUTILS, "dash")


def findutils(work):
    shell(work, "script", FIND, "bash")


def git(work):
    shell(work, "script", GIT, "bash")


def make(work):
    names = [f"part{i}" for i in range(10)]
    work.write("Makefile", MAKEFILE)
    work.write("parts.h", "".join(f"int {name}(int);\n" for name in names))
    for i, name in enumerate(names):
        work.write(f"{name}.c", f'#include "parts.h"\nint {name}(int x) {{ return x * {i} + 1; }}\n')
    calls = " + ".join(f"{name}(2)" for name in names)
    work.write("main.c", f'#include <stdio.h>\n#include "parts.h"\nint main(void) {{ printf("%d\\n", {calls}); }}\n')
    # cc1's temporary names are random; -pipe has none.
    work.run("make", "-j2", "CC=gcc -pipe", "check", in_order=False)
    work.run("make", "-j2", "-n", "-B")
    work.run("make", "no-such-target")


def apt(work):
    for name, needs in (("demo-a", ""), ("demo-b", "Depends: demo-a\n")):
        work.write(f"{name}/DEBIAN/control", f"Package: {name}\nVersion: 1.0\nArchitecture: all\n{needs}"
                   "Maintainer: Tester <tester@example.org>\nDescription: a package to be planned with\n")
        os.makedirs(work.path("repo"), exist_ok=True)
        work.tool("env", "SOURCE_DATE_EPOCH=1000000000", "dpkg-deb", "--build", "--root-owner-group",
                  name, f"repo/{name}_1.0_all.deb")
    work.write("repo/Packages", "".join(
        work.tool("dpkg-deb", "-f", f"repo/{name}_1.0_all.deb")
        + f"Filename: ./{name}_1.0_all.deb\nSize: {os.path.getsize(work.path(f'repo/{name}_1.0_all.deb'))}\n"
        + "SHA256: " + work.tool("sha256sum", f"repo/{name}_1.0_all.deb").split()[0] + "\n\n"
        for name in ("demo-a", "demo-b")))
    work.write("etc/sources.list", f"deb [trusted=yes] file:{work.dir}/repo ./\n")
    for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
        os.makedirs(work.path(name))
    work.write("state/status", "")
    work.write("apt.conf", f"""Dir::Etc "{work.dir}/etc"; Dir::Etc::sourcelist "{work.dir}/etc/sources.list";
Dir::State "{work.dir}/state"; Dir::State::status "{work.dir}/state/status"; Dir::Cache "{work.dir}/cache";
APT::Sandbox::User "root"; Dir::Log "{work.dir}/log";
""")
    settings = {"APT_CONFIG": work.path("apt.conf")}
    work.run("apt-get", "-q", "update", env=settings)
    work.run("apt-cache", "show", "demo-b", env=settings)
    work.run("apt-cache", "depends", "demo-b", env=settings)
    work.run("apt-get", "-q", "-s", "install", "demo-b", env=settings)
    work.run("apt-get", "-q", "download", "demo-a", env=settings)
    work.run("apt-get", "-q", "-s", "install", "no-such-package", env=settings)


def man_db(work):
    """man and its filters restrict their own system calls (seccomp)."""
    work.write("man/man7/demo.7", PAGE)
    work.run("mandb", "--create", "--quiet", work.path("man"))
    work.run("man", "-M", work.path("man"), "-P", "cat", "demo")
    work.run("man", "-l", "-T", "ps", work.path("man/man7/demo.7"), env={"SOURCE_DATE_EPOCH": "1000000000"})
    work.run("apropos", "-M", work.path("man"), "shown")
    work.run("man", "-M", work.path("man"), "no-such-page")


def file(work):
    """file restricts its own system calls (seccomp)."""
    work.write("text", "some words\n" * 100)
    work.write("script.py", "#!/usr/bin/python3\nimport sys\n")
    work.write("data.json", '{"a": [1, 2, 3]}\n')
    work.write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde")
    work.tool("gzip", "-nk", "text")
    files = ["text", "script.py", "data.json", "picture.png", "text.gz", "/bin/ls", "/dev/null", "absent"]
    work.run("file", *files)
    work.run("file", "--mime", *files)
    work.run("file", "-z", "-S", "text.gz")


def sqlite3(work):
    work.run("sqlite3", "-batch", work.path("data.db"), stdin=b"""
create table t(id integer primary key, name text, size int);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, 'name ' || (i * 7919 % 10007), i * i % 997 from n;
create index t_name on t(name, size);
select count(*), sum(size), max(name) from t;
select name, count(*) from t group by name order by 2 desc, 1 limit 3;
begin; delete from t where id % 3 = 0; rollback;
update t set name = upper(name) where size < 10;
select json_group_array(size) from (select size from t where id < 5);
explain query plan select * from t where name = 'name 5' order by size;
pragma integrity_check; vacuum; .dump no_such
.mode box
select * from t limit 2;
select * from no_such_table;
""")
