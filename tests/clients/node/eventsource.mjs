import { EventSource } from "eventsource";
import { follow, url } from "./report.mjs";

follow(new EventSource(url));
