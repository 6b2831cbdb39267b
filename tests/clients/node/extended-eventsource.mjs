import { EventSource } from "extended-eventsource";
import { follow, url } from "./report.mjs";

follow(new EventSource(url, { retry: 1000 }));
