import { EventSourcePlus } from "event-source-plus";
import { received, stopped, url } from "./report.mjs";

const controller = new EventSourcePlus(url, { maxRetryInterval: 1000 }).listen({
  onMessage({ id, event, data }) {
    if (event === "ade.event" && received(id, data)) {
      controller.abort();
      stopped("closed");
    }
  },
  onResponse({ response }) {
    if (response.status === 204) stopped("gave up");
  },
});
