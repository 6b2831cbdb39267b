// Server-sent events out of a response's body.

export interface Frame { event: string; data: string; id: string | undefined }

/** Calls `take` for each frame, and `alive` for everything that arrives, comments included; returns when the body ends. */
export async function readFrames(
  body: ReadableStream<Uint8Array>, take: (frame: Frame) => void, alive: () => void,
): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    rest += value;
    let start = 0;
    for (let end = rest.indexOf("\n\n", start); end >= 0; end = rest.indexOf("\n\n", start)) {
      const frame = parse(rest.slice(start, end));
      if (frame) take(frame);
      start = end + 2;
    }
    if (start > 0) rest = rest.slice(start);
  }
}

export function parse(block: string): Frame | undefined {
  let event = "message";
  let id: string | undefined;
  let data: string | undefined;
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    switch (line.slice(0, colon)) {
      case "event": event = value; break;
      case "id": id = value; break;
      case "data": data = data === undefined ? value : `${data}\n${value}`; break;
    }
  }
  return data === undefined && id === undefined ? undefined : { event, data: data ?? "", id };
}
