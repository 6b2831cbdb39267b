// It takes the end of a body for the end of the stream, so a cut connection must be an error of `fetch`.
import { received, stopped, stays, url } from "./report.mjs";

// It was made for browsers.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = await import("@microsoft/fetch-event-source");

const finished = new AbortController();
await fetchEventSource(url, {
  signal: finished.signal,
  openWhenHidden: true,
  async onopen(response) {
    if (response.status === 204) stopped("gave up");
    if (!response.ok) throw new Error(`status ${response.status}`);
  },
  onmessage({ id, event, data }) {
    if (event === "ade.event" && received(id, data)) finished.abort();
  },
  onclose() {
    if (stays) throw new Error("come back");
  },
  onerror() {
    return 1000;
  },
});
stopped("closed");
