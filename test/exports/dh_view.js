// SPDX-License-Identifier: MIT
//
// Gives a file to the code of DHAT's viewer, and prints what it made of it: dh_view.js VIEWER FILE. The viewer is made
// for a browser; of that, building its tree needs no more than the list of metrics.
'use strict';
const fs = require('fs');
const vm = require('vm');

const viewer = fs.readFileSync(process.argv[2], 'utf8');
const file = fs.readFileSync(process.argv[3], 'utf8');
const told = vm.runInNewContext(`${viewer}
gData = JSON.parse(file);
gSelect = {childNodes: gSelectData.map(() => ({})), selectedIndex: 0};
buildTree();
const points = [];
const walk = (node, above) => {
  const frames = above.concat(node._frames.map(i => gData.ftbl[i]));
  for (const kid of node._kids || []) walk(kid, frames);
  if (!node._kids) points.push({
    frames, total: node._totalBytes, totalBlocks: node._totalBlocks, end: node._atTEndBytes,
    endBlocks: node._atTEndBlocks, peak: node._atTGmaxBytes, most: node._maxBytes, lifetimes: node._totalLifetimes});
};
walk(gRoot, []);
JSON.stringify({points, total: gRoot._totalBytes, totalBlocks: gRoot._totalBlocks, end: gRoot._atTEndBytes,
                endBlocks: gRoot._atTEndBlocks})`,
  {file, console, document: {}, window: {}});
process.stdout.write(told);
