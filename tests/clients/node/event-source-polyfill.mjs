// It resumes by `lastEventId` in the query, since headers of its own would need a preflight.
import { EventSourcePolyfill } from "event-source-polyfill";
import { follow, url } from "./report.mjs";

follow(new EventSourcePolyfill(url));
