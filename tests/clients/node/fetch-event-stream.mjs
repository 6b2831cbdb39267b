import { events } from "fetch-event-stream";
import { resuming } from "./resuming.mjs";

await resuming((response) => events(response));
