// Version 2, which is older and has another parser, is still what most programs depend on.
import EventSource from "eventsource2";
import { follow, url } from "./report.mjs";

follow(new EventSource(url));
