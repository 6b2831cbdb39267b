// What a list of a million rows costs in @tanstack/virtual-core, which the console does without (docs/adr/0016-the-console.md).
//
//   npm install --no-save @tanstack/virtual-core@3.19.11 && node --expose-gc tests/measure-virtual-core.mjs

import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "@tanstack/virtual-core";

const options = {
  count: 1_000_000, estimateSize: () => 20, getScrollElement: () => null, scrollToFn: elementScroll,
  observeElementRect, observeElementOffset, initialRect: { width: 800, height: 600 },
};
globalThis.gc();
const before = process.memoryUsage();
let start = performance.now();
const list = new Virtualizer(options);
list.getTotalSize();
const first = performance.now() - start;
start = performance.now();
for (let frame = 1; frame <= 20; frame += 1) {
  list.setOptions({ ...options, count: 1_000_000 + 160 * frame });
  list.getVirtualItems();
  list.getTotalSize();
}
const append = (performance.now() - start) / 20;
globalThis.gc();
const after = process.memoryUsage();
const used = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
console.log(`${Math.round(used / 1e6)} MB, ${Math.round(first)} ms at first, ${append.toFixed(1)} ms for each frame that adds rows, ${list.getTotalSize()} pixels`);
