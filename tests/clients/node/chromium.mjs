// The EventSource of a real browser, on a page of the service's own origin; and there the libraries of pages.
//
//   node chromium.mjs <url> [stay] [native | polyfill | reconnecting]

import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { received, stopped, stays, url } from "./report.mjs";

const kind = process.argv[4] ?? "native";
const scripts = {
  native: [],
  polyfill: ["event-source-polyfill/src/eventsource.js"],
  reconnecting: ["reconnecting-eventsource/dist/ReconnectingEventSource.min.js"],
};
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: quiet });
// The page may load nothing; what is tested here is put into it from outside.
const page = await browser.newPage({ bypassCSP: true });
await page.goto(new URL("/health/live", url).href);
for (const script of scripts[kind]) {
  await page.addScriptTag({ path: fileURLToPath(new URL(`node_modules/${script}`, import.meta.url)) });
}
await page.exposeFunction("received", (id, data) => received(id, data));
const end = new Promise((resolve) => page.exposeFunction("over", resolve));
await page.evaluate(
  ({ url, stays, kind }) => {
    const name = { native: "EventSource", polyfill: "EventSourcePolyfill", reconnecting: "ReconnectingEventSource" }[kind];
    const source = new window[name](url);
    // Calls to the outside keep their order and finish before the end is told.
    let calls = Promise.resolve();
    source.addEventListener("ade.event", ({ lastEventId, data }) => {
      calls = calls.then(() => window.received(lastEventId, data));
      if (!stays && JSON.parse(data).type === "run.completed") {
        source.close();
        calls.then(() => window.over("closed"));
      }
    });
    source.addEventListener("error", () => {
      if (source.readyState === 2) calls.then(() => window.over("gave up"));
    });
  },
  { url, stays, kind },
);
const why = await end;
await browser.close();
stopped(why);
