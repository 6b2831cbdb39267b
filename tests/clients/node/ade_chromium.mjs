// The client of this repository in a real browser: on a page of the service's own origin, and in a worker of it.
//
//   node ade_chromium.mjs <url> [stay] [page | worker]

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { received, stopped, url } from "./report.mjs";

const kind = process.argv[4] ?? "page";
const bundle = readFileSync(new URL("../../../clients/typescript/build/ade.js", import.meta.url), "utf8");
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: quiet });
const page = await browser.newPage({ bypassCSP: true });
await page.goto(new URL("/health/live", url).href);

/** Runs in the page or in the worker: tells what it receives as `{ id, data }`, and `null` at the end. */
async function follow(url, tell) {
  const { pathname, searchParams } = new URL(url);
  const client = new ade.AdeClient();
  const several = searchParams.getAll("stream");
  if (several.length === 0) {
    for await (const { id, data } of client.follow(pathname.split("/")[4]).lines()) tell({ id, data });
  } else {
    const connection = client.connection({ tabs: true });
    const positions = Object.fromEntries(several.map((stream) => [stream, 0]));
    const one = async (stream) => {
      for await (const { sequence, data } of connection.follow(stream).lines()) {
        positions[stream] = sequence;
        tell({ id: Object.entries(positions).map((pair) => pair.join(":")).join(","), data });
      }
    };
    await Promise.all(several.map(one));
  }
  tell(null);
}

let over;
const end = new Promise((resolve) => (over = resolve));
await page.exposeFunction("tell", (told) => (told ? received(told.id, told.data) : over()));
if (kind === "page") {
  await page.addScriptTag({ content: `${bundle}\nwindow.follow = ${follow}` });
  await page.evaluate((url) => {
    // Calls to the outside keep their order.
    let calls = Promise.resolve();
    follow(url, (told) => (calls = calls.then(() => window.tell(told))));
  }, url);
} else {
  const program = `${bundle}\nconst follow = ${follow};\nfollow(${JSON.stringify(url)}, postMessage);`;
  await page.evaluate((program) => {
    let calls = Promise.resolve();
    const worker = new Worker(URL.createObjectURL(new Blob([program], { type: "text/javascript" })));
    worker.onmessage = ({ data }) => (calls = calls.then(() => window.tell(data)));
  }, program);
}
await end;
await browser.close();
stopped("ended");
