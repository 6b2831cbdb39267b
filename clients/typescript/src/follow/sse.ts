// One connection of server-sent events, read by `fetch` as fast as the frames are taken.
//
// Law: it ends by `over`, by `Lost` or by a `ProblemError`, and never waits for longer than `silence`.

import { createParser } from "eventsource-parser";
import { ProblemError, retryAfter } from "../errors.js";
import type { Http, Query } from "../http.js";
import { unlessAborted, within } from "../timing.js";
import { answerOf } from "./backoff.js";
import { type Frame, Lost, NotStreamed } from "./frames.js";

/** Far beyond the longest line of the service (1 MiB), far below what would hurt. */
const LONGEST_LINE = 16 << 20;
const IDLE = 250;
const MUTE = 2_000;
const SSE = "text/event-stream";

export interface Request {
  path: string;
  query: Query;
  headers?: Record<string, string>;
}

export async function* sse(
  http: Http,
  request: Request,
  silence: number,
  signal: AbortSignal,
): AsyncGenerator<Frame[]> {
  const own = new AbortController();
  const abort = () => own.abort();
  signal.addEventListener("abort", abort);
  if (signal.aborted) own.abort();
  const headers = { Accept: SSE, ...request.headers };
  try {
    const head = http.raw("GET", request.path, { query: request.query, headers, signal: own.signal });
    const response = yield* patiently(head, silence);
    const { status, headers: answered } = response;
    const answer = answerOf(status, answered.get("content-type") ?? "", SSE);
    if (answer === "over") return yield [{ kind: "over" }];
    if (answer === "refused") throw await ProblemError.from(response);
    if (answer === "again") throw new Lost(`answered ${status}`, retryAfter(response));
    const at = Date.parse(answered.get("date") ?? "");
    yield [{ kind: "opened", at: Number.isNaN(at) ? undefined : at }];
    if (!response.body) throw new NotStreamed("answers cannot be read as streams here");
    yield* body(response.body.getReader(), silence, own.signal);
  } catch (error) {
    if (error instanceof ProblemError || error instanceof Lost) throw error;
    throw new Lost("the connection failed", 0, { cause: error });
  } finally {
    signal.removeEventListener("abort", abort);
    own.abort();
  }
}

async function* body(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  silence: number,
  signal: AbortSignal,
): AsyncGenerator<Frame[]> {
  const decoder = new TextDecoder();
  const parse = parser();
  let read = yield* patiently(unlessAborted(reader.read(), signal), silence);
  while (!read.done) {
    const frames = parse(decoder.decode(read.value, { stream: true }));
    if (frames.length > 0) yield frames;
    const next = unlessAborted(reader.read(), signal);
    // Within a moment: what was sent is read. Later: nothing more was sent for now.
    const soon = await within(next, IDLE);
    if (!soon) yield [{ kind: "idle" }];
    const found = soon ?? (await within(next, silence));
    if (!found) throw new Lost("silent");
    read = found.value;
  }
  throw new Lost("the connection ended");
}

/** Waits, and tells every now and then that nothing has come yet. */
async function* patiently<T>(promise: Promise<T>, silence: number): AsyncGenerator<Frame[], T> {
  // Nobody looks at it when the reader leaves in between.
  promise.catch(() => {});
  for (let waited = 0; waited < silence; waited += MUTE) {
    const found = await within(promise, MUTE);
    if (found) return found.value;
    yield [{ kind: "mute" }];
  }
  throw new Lost("silent");
}

export function parser(): (chunk: string) => Frame[] {
  let frames: Frame[] = [];
  const { feed } = createParser({
    maxBufferSize: LONGEST_LINE,
    onRetry: (milliseconds) => frames.push({ kind: "retry", milliseconds }),
    onComment: () => frames.push({ kind: "alive" }),
    onEvent: ({ id, event, data }) => {
      frames.push(id === undefined ? { kind: "control", name: event ?? "", data } : { kind: "event", id, data });
    },
    onError: (error) => {
      if (error.type === "max-buffer-size-exceeded") throw new Lost("a line is too long");
    },
  });
  return (chunk) => {
    frames = [];
    feed(chunk);
    const id = bareId(chunk);
    if (id !== undefined) frames.push({ kind: "moved", id });
    return frames;
  };
}

/**
 * The id of a block without data, with which the service ends what it sends when a filter has left out much. Parsers
 * report no such block. When only its end is in the chunk, the event before it has the same id, which does no harm.
 */
export function bareId(chunk: string): string | undefined {
  if (!chunk.endsWith("\n\n")) return undefined;
  const block = chunk.slice(chunk.lastIndexOf("\n\n", chunk.length - 3) + 1);
  if (/^(?:data|event):/m.test(block)) return undefined;
  return /^id: ?(.+)$/m.exec(block)?.[1];
}
