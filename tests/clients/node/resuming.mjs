// For libraries that read one response: asks again from where it was, until the stream is over.

import { received, stopped, url } from "./report.mjs";

/** `read(response)` gives the events of a response as `{ id, event, data }`. */
export async function resuming(read) {
  let position;
  for (;;) {
    try {
      const headers = { Accept: "text/event-stream", ...(position && { "Last-Event-ID": position }) };
      const response = await fetch(url, { headers });
      if (response.status === 204) stopped("gave up");
      for await (const { id, event, data } of response.ok ? read(response) : []) {
        if (event !== "ade.event") continue;
        position = String(id);
        if (received(position, data)) stopped("closed");
      }
    } catch {
      // Cut off, or nobody listens at the moment.
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
