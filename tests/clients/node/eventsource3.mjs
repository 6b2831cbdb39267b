// The first version on top of `fetch`; it runs on older versions of Node than the fourth.
import { EventSource } from "eventsource3";
import { follow, url } from "./report.mjs";

follow(new EventSource(url));
