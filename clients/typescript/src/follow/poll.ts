// The same by long polling, for where streams do not get through: each answer is short and complete.

import { ProblemError, retryAfter } from "../errors.js";
import type { Http, Query } from "../http.js";
import { unlessAborted, within } from "../timing.js";
import { answerOf } from "./backoff.js";
import { type Frame, Lost } from "./frames.js";
import { type EventPage, parsePage } from "./page.js";
import type { Request } from "./sse.js";

const JSON_TYPE = "application/json";
/** Seconds; the service holds an empty answer for at most 30. */
const WAIT = 25;
export const PAGE = 500;

/** `request` is asked before each page, since the position has moved. */
export async function* poll(
  http: Http,
  request: () => Request,
  silence: number,
  signal: AbortSignal,
): AsyncGenerator<Frame[]> {
  for (let opened = false; ; opened = true) {
    const { path, query, headers } = request();
    const wait = opened ? WAIT : 0;
    const sent = { query: { limit: PAGE, wait, ...query }, headers: headers ?? {}, signal };
    const answer = await within(page(http, path, sent), silence + wait * 1_000);
    if (!answer) throw new Lost("silent");
    const { at, page: found } = answer.value;
    if (!opened) yield [{ kind: "opened", at }];
    yield framesOf(found);
  }
}

function framesOf(page: EventPage): Frame[] {
  const frames: Frame[] = page.lines.map((data) => ({ kind: "event", id: String(sequenceOf(data)), data }));
  frames.push({ kind: "moved", id: String(page.next_after_sequence) });
  if (page.next_after_sequence >= page.last_sequence) frames.push({ kind: page.closed ? "over" : "idle" });
  return frames;
}

export function sequenceOf(line: string): number {
  const { sequence } = JSON.parse(line) as { sequence: number };
  return sequence;
}

export async function page(
  http: Http,
  path: string,
  sent: { query: Query; headers?: Record<string, string>; signal: AbortSignal },
): Promise<{ at: number | undefined; page: EventPage }> {
  try {
    const response = await http.raw("GET", path, { ...sent, headers: { Accept: JSON_TYPE, ...sent.headers } });
    const answer = answerOf(response.status, response.headers.get("content-type") ?? "", JSON_TYPE);
    if (answer === "refused") throw await ProblemError.from(response);
    if (answer !== "read") throw new Lost(`answered ${response.status}`, retryAfter(response));
    const at = Date.parse(response.headers.get("date") ?? "");
    return { at: Number.isNaN(at) ? undefined : at, page: parsePage(await unlessAborted(response.text(), sent.signal)) };
  } catch (error) {
    if (error instanceof ProblemError || error instanceof Lost) throw error;
    throw new Lost("the connection failed", 0, { cause: error });
  }
}
