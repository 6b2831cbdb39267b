// What has changed between two texts, line by line (Myers).

export interface Line { kind: "same" | "out" | "in"; text: string; left?: number; right?: number }

const MOST_CHANGES = 3000;

export function diff(before: string, after: string): Line[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  const middle = changes(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const lines: Line[] = [
    ...a.slice(0, start).map((text): Line => ({ kind: "same", text })),
    ...middle,
    ...a.slice(a.length - end).map((text): Line => ({ kind: "same", text })),
  ];
  let [left, right] = [0, 0];
  for (const line of lines) {
    if (line.kind !== "in") line.left = left += 1;
    if (line.kind !== "out") line.right = right += 1;
  }
  return lines;
}

function changes(a: string[], b: string[]): Line[] {
  const whole = (): Line[] => [
    ...a.map((text): Line => ({ kind: "out", text })), ...b.map((text): Line => ({ kind: "in", text })),
  ];
  if (a.length === 0 || b.length === 0) return whole();
  const most = Math.min(a.length + b.length, MOST_CHANGES);
  let furthest = new Map<number, number>([[1, 0]]);
  const history: Map<number, number>[] = [];
  for (let d = 0; d <= most; d += 1) {
    history.push(new Map(furthest));
    const next = new Map(furthest);
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
      let x = down ? (furthest.get(k + 1) ?? 0) : (furthest.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      next.set(k, x);
      if (x >= a.length && x - k >= b.length) return back(a, b, history, d);
    }
    furthest = next;
  }
  // Nothing is alike enough to be worth looking for.
  return whole();
}

function back(a: string[], b: string[], history: Map<number, number>[], changesMade: number): Line[] {
  const lines: Line[] = [];
  let [x, y] = [a.length, b.length];
  for (let d = changesMade; d > 0; d -= 1) {
    const furthest = history[d]!;
    const k = x - y;
    const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
    const before = down ? k + 1 : k - 1;
    const fromX = furthest.get(before) ?? 0;
    const fromY = fromX - before;
    while (x > fromX && y > fromY && x > (down ? fromX : fromX + 1) && y > (down ? fromY + 1 : fromY)) {
      lines.push({ kind: "same", text: a[x - 1]! });
      x -= 1;
      y -= 1;
    }
    if (down) lines.push({ kind: "in", text: b[y - 1]! });
    else lines.push({ kind: "out", text: a[x - 1]! });
    [x, y] = [fromX, fromY];
  }
  while (x > 0 && y > 0) {
    lines.push({ kind: "same", text: a[x - 1]! });
    x -= 1;
    y -= 1;
  }
  return lines.reverse();
}

/** Keys in order, so that only what means something differs. */
export function pretty(value: unknown): string {
  return JSON.stringify(value, (_, it: unknown) =>
    it && typeof it === "object" && !Array.isArray(it)
      ? Object.fromEntries(Object.entries(it).sort(([one], [other]) => (one < other ? -1 : 1))) : it, 2) ?? "";
}
