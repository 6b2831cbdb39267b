// Runs a block of the page in Chromium, on a page of the service: `node readme.mjs <file> <url>`; prints its console.

import { chromium } from "playwright-core";
import { build } from "esbuild";

const [file, url] = process.argv.slice(2);
const { outputFiles } = await build({ entryPoints: [file], bundle: true, format: "esm", write: false, logLevel: "silent" });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ bypassCSP: true });
page.on("dialog", (dialog) => dialog.accept(process.env.ADE_API_KEY));
const said = [];
page.on("console", (message) => said.push(message.text()));
page.on("pageerror", (error) => said.push(String(error)));
await page.goto(`${url}/health/live`);
await page.addScriptTag({ content: outputFiles[0].text, type: "module" });
const end = Date.now() + 30_000;
while (!(said.some((text) => text.endsWith(" live")) && said.includes("run.completed")) && Date.now() < end) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
console.log(said.join("\n"));
await browser.close();
