import { EventSourceParserStream } from "eventsource-parser/stream";
import { resuming } from "./resuming.mjs";

await resuming(({ body }) => body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()));
