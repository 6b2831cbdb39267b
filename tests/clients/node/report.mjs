// What every program here does with what it receives: one line of JSON for each event, and one at the end.
//
//   node <client>.mjs <url> [stay]
//
// With `stay` the program does not stop at the last event of the stream: it ends when its library gives up for good.

import { writeSync } from "node:fs";

export const url = process.argv[2];
export const stays = process.argv[3] === "stay";

function write(value) {
  let rest = Buffer.from(JSON.stringify(value) + "\n");
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

/** Reports an event; true when it was the last one and the program is to stop. */
export function received(id, data) {
  write({ id, data });
  return !stays && JSON.parse(data).type === "run.completed";
}

/** Reports that the program has stopped, and stops it. */
export function stopped(why) {
  write({ stopped: why });
  process.exit(0);
}

/** For libraries with the interface of browsers' EventSource. */
export function follow(source) {
  source.addEventListener("ade.event", (event) => {
    if (received(event.lastEventId, event.data)) {
      source.close();
      stopped("closed");
    }
  });
  source.addEventListener("error", () => {
    // Some are closed only after they have told the error.
    setImmediate(() => source.readyState === 2 && stopped("gave up"));
  });
}
