import { EventSource } from "launchdarkly-eventsource";
import { follow, stopped, url } from "./report.mjs";

const source = new EventSource(url, { errorFilter: (error) => error.status === undefined || error.status >= 500 });
follow(source);
source.addEventListener("closed", () => stopped("gave up"));
