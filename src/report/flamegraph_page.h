// SPDX-License-Identifier: MIT
//
// The flame graph's page. It hangs from its roots: width is weight, and what a function calls is below it. Everything
// is made by the script at the end out of the data before it, and only as text. The part of the address behind # holds
// what is shown (by, zoom, search), so that a view can be handed on; the policy keeps the page from loading anything.

#pragma once

#include <string_view>

namespace heapster::report {

// Stands in the page where the data go.
inline constexpr std::string_view kFlamegraphData = "{\"heapster\": \"data\"}";

inline constexpr std::string_view kFlamegraphPage = R"HTML(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>heapster</title>
<style>
:root { color-scheme: light dark; --ink: #1c1917; --paper: #fafaf9; --quiet: #78716c; --line: #d6d3d1; --frame-l: 74%; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f5f5f4; --paper: #1c1917; --quiet: #a8a29e; --line: #44403c; --frame-l: 36%; }
}
body { margin: 0; padding: 16px; font: 14px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 18px; margin: 0; }
#command { color: var(--quiet); margin: 2px 0 12px; overflow-wrap: anywhere; }
#controls { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin-bottom: 8px; }
#controls button, #controls input {
  font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: 4px;
  padding: 3px 9px;
}
#controls button { cursor: pointer; }
#controls button[aria-pressed=true] { background: var(--ink); color: var(--paper); }
#search { flex: 1; min-width: 140px; max-width: 340px; }
#status { min-height: 1.4em; margin: 0 0 8px; overflow-wrap: anywhere; }
#graph { position: relative; }
.frame {
  position: absolute; height: 18px; box-sizing: border-box; padding: 0; text-indent: 4px; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; font: 12px/18px ui-monospace, monospace; color: inherit; text-align: left; cursor: pointer;
  border: 0; border-right: 1px solid var(--paper); border-radius: 2px;
  background: hsl(var(--hue) 62% var(--frame-l));
}
.frame:hover, .frame:focus-visible { outline: 2px solid var(--ink); outline-offset: -2px; }
.frame.above { opacity: .55; }
.frame.found { background: hsl(292 80% var(--frame-l)); }
</style>
</head>
<body>
<h1 id="title"></h1>
<p id="command"></p>
<div id="controls">
  <span id="weights"></span>
  <input id="search" type="search" placeholder="search functions (a regular expression)" aria-label="search">
  <button id="reset" type="button">all</button>
</div>
<p id="status" role="status"></p>
<div id="graph"></div>
<script type="application/json" id="data">{"heapster": "data"}</script>
<script>
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const rowHeight = 19;
const leastShare = 0.0005;  // of the width: less than a pixel

// The nodes come depth first, each with the number of its children.
function readNodes(list) {
  let next = 0;
  const open = [];
  let root = null;
  while (next < list.length) {
    const [fn, children, weights] = list[next];
    const parent = open.length > 0 ? open[open.length - 1].node : null;
    const node = {id: next++, fn, weights, parent, children: []};
    if (parent) parent.children.push(node);
    root = root || node;
    open.push({node, left: children});
    while (open.length > 0 && open[open.length - 1].left === 0) {
      open.pop();
      if (open.length > 0) --open[open.length - 1].left;
    }
  }
  return root;
}
const root = readNodes(data.nodes);
const state = {by: data.by, zoom: root, search: ''};

const element = id => document.getElementById(id);
const weightOf = node => node.weights[state.by];
const nameOf = node => node === root ? 'all' : data.functions[node.fn][0];

function amount(number) {
  if (data.weights[state.by].unit !== 'bytes') return number.toLocaleString('en') + ' blocks';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = number, unit = 0;
  for (; value >= 1024 && unit + 1 < units.length; ++unit) value /= 1024;
  const exact = number.toLocaleString('en') + ' B';
  return unit === 0 ? exact : value.toPrecision(3) + ' ' + units[unit] + ' (' + exact + ')';
}
const share = (part, whole) => whole > 0 ? (100 * part / whole).toFixed(2) + ' %' : '–';

function describe(node) {
  const [, module, file] = node === root ? ['', '', ''] : data.functions[node.fn];
  let text = nameOf(node) + '\n' + amount(weightOf(node)) + ', ' + share(weightOf(node), weightOf(root)) + ' of all';
  if (state.zoom !== root) text += ', ' + share(weightOf(node), weightOf(state.zoom)) + ' of what is shown';
  return text + (file ? '\n' + file : '') + (module ? '\nin ' + module : '');
}

// One colour for each object, so that libraries tell themselves apart.
function hue(node) {
  let hash = 7;
  for (const letter of node === root ? '' : data.functions[node.fn][1]) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
  return node === root ? 40 : 8 + hash % 220;
}

function pattern() {
  if (state.search === '') return null;
  try {
    return new RegExp(state.search, 'i');
  } catch {
    const plain = state.search.toLowerCase();
    return {test: text => text.toLowerCase().includes(plain)};
  }
}

function put(node, left, width, row, above, wanted) {
  const frame = document.createElement('button');
  frame.type = 'button';
  const found = wanted && node !== root && wanted.test(nameOf(node));
  frame.className = 'frame' + (above ? ' above' : '') + (found ? ' found' : '');
  frame.style.cssText = `left:${left * 100}%;width:${width * 100}%;top:${row * rowHeight}px;--hue:${hue(node)}`;
  frame.textContent = nameOf(node);
  frame.title = describe(node);
  frame.dataset.node = node.id;
  frame.dataset.weight = weightOf(node);
  frame.onclick = () => show({zoom: node});
  element('graph').append(frame);
}

// What lies below functions that are found, each block once.
function foundWeight(wanted) {
  let sum = 0;
  const left = [state.zoom];
  while (left.length > 0) {
    const node = left.pop();
    if (node !== root && wanted.test(nameOf(node))) sum += weightOf(node);
    else left.push(...node.children);
  }
  return sum;
}

function draw() {
  element('graph').replaceChildren();
  const wanted = pattern();
  const above = [];
  for (let node = state.zoom.parent; node; node = node.parent) above.unshift(node);
  above.forEach((node, row) => put(node, 0, 1, row, true, wanted));
  let rows = above.length;
  const total = weightOf(state.zoom);
  const left = [[state.zoom, 0, above.length]];
  while (left.length > 0 && total > 0) {
    const [node, from, row] = left.pop();
    const width = weightOf(node) / total;
    if (width < leastShare) continue;
    rows = Math.max(rows, row + 1);
    put(node, from, width, row, false, wanted);
    let at = from;
    const children = node.children.slice().sort((a, b) => weightOf(b) - weightOf(a));
    for (const child of children) {
      left.push([child, at, row + 1]);
      at += weightOf(child) / total;
    }
  }
  element('graph').style.height = rows * rowHeight + 'px';
  let text = nameOf(state.zoom) + ': ' + amount(total) + ', ' + share(total, weightOf(root)) + ' of all';
  if (wanted) {
    const found = foundWeight(wanted);
    text += '; found: ' + amount(found) + ', ' + share(found, total);
  }
  element('status').textContent = text;
  for (const button of element('weights').children)
    button.setAttribute('aria-pressed', String(Number(button.dataset.by) === state.by));
}

function nodeAt(id) {
  const left = [root];
  while (left.length > 0) {
    const node = left.pop();
    if (node.id === id) return node;
    left.push(...node.children);
  }
  return root;
}

function show(change) {
  Object.assign(state, change);
  const shown = new URLSearchParams();
  if (state.by !== data.by) shown.set('by', data.weights[state.by].name);
  if (state.zoom !== root) shown.set('zoom', state.zoom.id);
  if (state.search) shown.set('search', state.search);
  history.replaceState(null, '', '#' + shown);
  draw();
}

function restore() {
  const shown = new URLSearchParams(location.hash.slice(1));
  const by = data.weights.findIndex(weight => weight.name === shown.get('by'));
  element('search').value = shown.get('search') || '';
  show({by: by >= 0 ? by : data.by, zoom: nodeAt(Number(shown.get('zoom'))), search: element('search').value});
}

document.title = data.title + ' – heapster';
element('title').textContent = data.title;
element('command').textContent =
  data.command + (data.mean > 1 ? ` – estimates, one sample in ${data.mean.toLocaleString('en')} bytes on average` : ' – every allocation');
data.weights.forEach((weight, by) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = weight.help;
  button.dataset.by = by;
  button.onclick = () => show({by});
  element('weights').append(button, ' ');
});
element('search').oninput = event => show({search: event.target.value});
element('reset').onclick = () => { element('search').value = ''; show({zoom: root, search: ''}); };
onkeydown = event => {
  if (event.key === 'Escape') element('reset').click();
  if (event.key === '/' && document.activeElement !== element('search')) {
    event.preventDefault();
    element('search').focus();
  }
};
onhashchange = restore;
restore();
</script>
</body>
</html>
)HTML";

}  // namespace heapster::report
