import { createEventSource } from "eventsource-client";
import { received, stopped, url } from "./report.mjs";

const source = createEventSource({
  url,
  onMessage({ id, event, data }) {
    if (event === "ade.event" && received(id, data)) {
      source.close();
      stopped("closed");
    }
  },
  onDisconnect() {
    if (source.readyState === "closed") stopped("gave up");
  },
  fetch: async (...request) => {
    const response = await fetch(...request);
    if (response.status === 204) stopped("gave up");
    return response;
  },
});
