import { EventSource } from "undici";
import { follow, url } from "./report.mjs";

follow(new EventSource(url));
// Its timer for reconnecting does not keep a program running.
setInterval(() => {}, 1000);
