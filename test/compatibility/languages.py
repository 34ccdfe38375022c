# SPDX-License-Identifier: MIT
"""Interpreters and runtimes: threads, children, handlers of their own, native extensions."""

PERL = r"""
use strict; use warnings; use Socket; use POSIX ':sys_wait_h';
$| = 1;
my %table; $table{$_ % 1013} .= chr(65 + $_ % 26) for 1 .. 50000;
print scalar(keys %table), ' ', length($table{7}), "\n";
local $SIG{USR1} = sub { print "caught USR1\n" };
kill 'USR1', $$;
socketpair(my $near, my $far, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
my $child = fork;
if (!$child) { close $near; print $far join(',', map { $_ * 3 } 1 .. 200), "\n"; exit 5 }
close $far;
print length(<$near>), "\n";
waitpid $child, 0;
print $? >> 8, "\n";
open my $pipe, '-|', 'seq', '50' or die; my @rows = <$pipe>; close $pipe;
my $text = join '', sort { $b <=> $a } @rows;
(my $copy = $text) =~ s/(\d)(\d)/$2$1/g;
printf "%s %d\n", substr($copy, 0, 12) =~ tr/\n/ /r, eval { die { code => 42 } } // $@->{code};
kill 'URG', $$;
local $SIG{USR1} = 'DEFAULT';
warn "leaving\n";
exit 6;
"""

EXTENSION = r"""
#include <Python.h>
#include <algorithm>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
static PyObject* count_words(PyObject*, PyObject* argument) {
  try {
    const char* text = PyUnicode_AsUTF8(argument);
    if (text == nullptr) return nullptr;
    std::unordered_map<std::string, long> counts;
    std::thread([&] {
      std::string word;
      for (; ; ++text) {
        if (*text != ' ' && *text != 0) { word += *text; continue; }
        ++counts[word];
        word.clear();
        if (*text == 0) break;
      }
    }).join();
    if (counts.size() < 2) throw std::invalid_argument("too few words");
    PyObject* result = PyDict_New();
    for (auto& [key, value] : counts) {
      PyObject* number = PyLong_FromLong(value);
      PyDict_SetItemString(result, key.c_str(), number);
      Py_DECREF(number);
    }
    return result;
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
    return nullptr;
  }
}
static PyMethodDef methods[] = {{"count_words", count_words, METH_O, ""}, {}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "words", "", -1, methods};
PyMODINIT_FUNC PyInit_words() { return PyModule_Create(&module); }
"""

PYTHON = r"""
import json, multiprocessing, os, signal, sqlite3, subprocess, sys, threading
import words

def work(number):
    return number, sorted(words.count_words("a b c " * number).items())

if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: print("caught USR1", flush=True))
    os.kill(os.getpid(), signal.SIGUSR1)
    try:
        words.count_words("one")
    except ValueError as error:
        print(error)
    for way in ("fork", "spawn"):
        with multiprocessing.get_context(way).Pool(2, work, [1]) as pool:
            print(way, pool.map(work, range(1, 20))[-1], flush=True)
            pool.close()
            pool.join()
    queue = []
    threads = [threading.Thread(target=lambda n=n: queue.append([bytes(n) for n in range(1000)])) for n in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(len(queue), len(json.dumps({str(n): [n] * 10 for n in range(2000)})))
    base = sqlite3.connect(":memory:")
    base.execute("create table t(x)")
    base.executemany("insert into t values (?)", ((n,) for n in range(10000)))
    print(base.execute("select sum(x) from t").fetchone())
    print(subprocess.run(["sort", "-r"], input="a\nb\n", capture_output=True, text=True).stdout)
    os.kill(os.getpid(), signal.SIGURG)
    print("leaving", file=sys.stderr)
    sys.exit(11)
"""

NODE = r"""
const { Worker, isMainThread, parentPort } = require('worker_threads');
const { execFileSync, spawnSync } = require('child_process');
const zlib = require('zlib'), crypto = require('crypto'), fs = require('fs'), net = require('net');
if (!isMainThread) {
  parentPort.postMessage([...Array(20000).keys()].map(String).join('').length);
} else {
  const worker = new Worker(__filename);
  worker.on('message', (value) => console.log('worker', value));
  worker.on('exit', () => {
    const text = JSON.stringify([...Array(5000).keys()].map((n) => ({ n, name: 'name ' + n })));
    zlib.gzip(text, (error, packed) => {
      console.log(zlib.gunzipSync(packed).length, crypto.createHash('sha256').update(text).digest('hex'));
      crypto.pbkdf2('secret', 'salt', 1000, 32, 'sha512', (error, key) => {
        console.log(key.toString('hex'), execFileSync('seq', ['3']).toString().trim().split('\n').length);
        console.log(spawnSync('sh', ['-c', 'exit 4']).status, fs.readFileSync(__filename).length);
        const server = net.createServer((peer) => peer.end('served\n')).listen(0, '127.0.0.1', () => {
          net.connect(server.address().port, '127.0.0.1').on('data', (data) => {
            console.log(data.toString().trim());
            server.close(() => { console.error('leaving'); process.exitCode = 13; });
          });
        });
      });
    });
  });
}
"""

JAVA = r"""
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;
public class Main {
  public static void main(String[] arguments) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(3);
    List<Future<Integer>> parts = new ArrayList<>();
    for (int part = 0; part < 6; part++) {
      final int seed = part;
      parts.add(pool.submit(() -> new Random(seed).ints(20000).boxed().collect(Collectors.toSet()).size()));
    }
    int sum = 0;
    for (Future<Integer> part : parts) sum += part.get();
    pool.shutdown();
    pool.awaitTermination(10, TimeUnit.SECONDS);
    System.out.println(sum);
    byte[] data = IntStream.range(0, 50000).mapToObj(Integer::toString).collect(Collectors.joining()).getBytes();
    CRC32 crc = new CRC32();
    crc.update(data);
    System.out.println(crc.getValue());
    Path file = Files.createTempFile(Path.of("."), "x", ".gz");
    try (var out = new GZIPOutputStream(Files.newOutputStream(file))) { out.write(data); }
    try (var in = new GZIPInputStream(Files.newInputStream(file))) { System.out.println(in.readAllBytes().length); }
    java.nio.ByteBuffer.allocateDirect(1 << 20).putInt(0, 1);
    System.out.println(new String(new ProcessBuilder("seq", "3").start().getInputStream().readAllBytes()).length());
    System.gc();
    try { ((Object) null).hashCode(); } catch (NullPointerException caught) { System.out.println("caught"); }
    System.err.println("leaving");
    System.exit(14);
  }
}
"""


# Goroutines call C, which calls Go again, which calls C: on stacks of Go's own, and on those of its threads.
GO = r"""
package main

/*
#include <stdlib.h>
#include <string.h>
#include <stdint.h>

extern int64_t visit(int64_t depth, char *text);

static int64_t through_c(int64_t depth) {
  char *text = malloc(64 + depth);
  memset(text, 'x', 63);
  text[63] = 0;
  int64_t sum = visit(depth, text);
  text = realloc(text, 5000);
  free(text);
  return sum;
}
*/
import "C"

import (
  "fmt"
  "os"
  "os/signal"
  "runtime"
  "sync"
  "syscall"
  "time"
  "unsafe"
)

//export visit
func visit(depth C.int64_t, text *C.char) C.int64_t {
  sum := C.int64_t(len(C.GoString(text)))
  if depth > 0 {
    sum += C.through_c(depth - 1)
  }
  if depth%4 == 0 {
    runtime.Gosched()
  }
  return sum
}

func recovered() (told string) {
  defer func() { told = fmt.Sprint(recover()) }()
  defer C.free(unsafe.Pointer(C.CString("to be freed")))
  var none []int
  return fmt.Sprint(none[len(told)+3])
}

// What is looked at is the process's first thread, so main has to stay on it.
func init() { runtime.LockOSThread() }

func main() {
  time.Sleep(time.Millisecond) // with the first timer come descriptors; otherwise at some point, or never
  var group sync.WaitGroup
  sums := make([]C.int64_t, 8)
  for g := range sums {
    group.Add(1)
    go func(g int) {
      defer group.Done()
      var kept [][]byte
      for i := 0; i < 200; i++ {
        sums[g] += C.through_c(C.int64_t(i % 12))
        kept = append(kept, make([]byte, i*10))
      }
      runtime.KeepAlive(kept)
    }(g)
  }
  group.Wait()
  runtime.GC()
  caught := make(chan os.Signal, 1)
  signal.Notify(caught, syscall.SIGUSR1)
  syscall.Kill(os.Getpid(), syscall.SIGUSR1)
  fmt.Println(sums, recovered(), <-caught)
}
"""


def perl(work):
    work.write("script.pl", PERL)
    work.run("perl", "script.pl")


def python3(work):
    work.write("words.cc", EXTENSION)
    work.write("script.py", PYTHON)
    headers = work.tool("/usr/bin/python3", "-c", "import sysconfig; print(sysconfig.get_paths()['include'])").strip()
    work.tool("g++", "-O1", "-shared", "-fPIC", "-I" + headers, "-o", "words.so", "words.cc")
    # Without -B the first import writes a file, and which import is first would be a matter of chance.
    work.run("/usr/bin/python3", "-B", "script.py")


def nodejs(work):
    work.write("script.js", NODE)
    work.run("node", "script.js")


def java(work):
    # Or a thread of its own opens the cgroup's files now and then, and others' descriptors get other numbers.
    alone = "-XX:-UseContainerSupport"
    work.write("Main.java", JAVA)
    work.run("javac", f"-J{alone}", "Main.java")
    work.note_file("Main.class")
    work.run("java", alone, "-Xmx128m", "Main")


def go(work):
    """Its runtime interrupts goroutines by the signal that asks for a look, if it is let."""
    work.write("main.go", GO)
    work.tool("go", "build", "-o", "calls", "main.go")
    work.run("./calls", env={"GODEBUG": "asyncpreemptoff=1"})
