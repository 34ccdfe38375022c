# SPDX-License-Identifier: MIT
"""Compilers and a debugger. What they produce has to be the same, to the byte."""

C_SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { struct node *next; int value; };
static struct node *push(struct node *list, int value) {
  struct node *node = malloc(sizeof *node);
  node->next = list;
  node->value = value;
  return node;
}
int sum(struct node *list) { return list ? list->value + sum(list->next) : 0; }
int main(int argc, char **argv) {
  struct node *list = NULL;
  for (int i = 0; i < 100; i++) list = push(list, i);
  printf("%d %s\n", sum(list), argc > 1 ? argv[1] : "none");
  return 3;
}
"""

CXX_SOURCE = r"""
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <vector>
int main() {
  std::map<std::string, std::vector<int>> groups;
  for (int i = 0; i < 2000; i++) groups["group " + std::to_string(i % 37)].push_back(i);
  std::thread([&] { for (auto& [name, list] : groups) std::reverse(list.begin(), list.end()); }).join();
  try { throw std::runtime_error("thrown"); } catch (const std::exception& error) { std::cout << error.what() << '\n'; }
  std::cout << groups.size() << ' ' << std::regex_match("group 12", std::regex("group [0-9]+")) << '\n';
}
"""

RUST_SOURCE = r"""
use std::collections::{BTreeMap, HashMap};
use std::sync::{mpsc, Arc, Mutex};
fn main() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for i in 0..5000 { *counts.entry(format!("key {}", i % 91)).or_default() += i; }
    let (sender, receiver) = mpsc::channel();
    let total = Arc::new(Mutex::new(0usize));
    let workers: Vec<_> = (0..3).map(|n| {
        let (sender, total) = (sender.clone(), Arc::clone(&total));
        std::thread::spawn(move || { *total.lock().unwrap() += n; sender.send(vec![n; 100]).unwrap(); })
    }).collect();
    for worker in workers { worker.join().unwrap(); }
    drop(sender);
    let map: HashMap<_, _> = receiver.iter().map(|v| (v[0], v.len())).collect();
    println!("{} {} {}", counts.len(), total.lock().unwrap(), map.len());
    std::process::exit(9);
}
"""

GDB_COMMANDS = r"""
set pagination off
set confirm off
set debuginfod enabled off
break sum if list && list->value == 95
run word
info args
print *list
backtrace
watch list->value
delete
print sum(list)
call (void)puts("called")
finish
continue
info breakpoints
"""


def compile_and_run(work, source, *command):
    work.write(source, {"c": C_SOURCE, "cc": CXX_SOURCE, "rs": RUST_SOURCE}[source.rpartition(".")[2]])
    work.run(*command, "-o", "out", source)
    work.note_file("out")
    work.run("./out", "word")


def gcc(work):
    compile_and_run(work, "a.c", "gcc", "-O2", "-g", "-Wall")
    compile_and_run(work, "b.cc", "g++", "-O2", "-pipe")
    compile_and_run(work, "c.c", "gcc", "-O2", "-flto=2", "-static")
    work.write("wrong.c", "int f(void) { return missing; }\n")
    work.run("gcc", "-c", "wrong.c")


def clang(work):
    compile_and_run(work, "a.c", "clang", "-O2", "-g")
    compile_and_run(work, "b.cc", "clang++", "-O2")
    work.write("wrong.c", "int f(void) { return missing; }\n")
    work.run("clang", "-c", "wrong.c")


def rustc(work):
    compile_and_run(work, "a.rs", "rustc", "-O", "-C", "codegen-units=2", "--edition", "2021")
    work.write("wrong.rs", "fn main() { let x: u32 = \"text\"; }\n")
    work.run("rustc", "wrong.rs")


def gdb(work):
    """gdb traces for itself, so only gdb is looked at."""
    work.write("a.c", C_SOURCE)
    work.tool("gcc", "-g", "-O0", "-o", "out", "a.c")
    work.write("commands", GDB_COMMANDS)
    work.run("gdb", "-nx", "-batch", "-x", "commands", "./out", trace="alone")
