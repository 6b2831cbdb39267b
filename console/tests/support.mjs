// The program as its users have it, and a browser in front of it.

import { spawn, execFileSync } from "node:child_process";
import { cpSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const FIXTURES = join(ROOT, "tests/fixtures");
const PROGRAM = resolve(process.env.ADE ?? join(ROOT, "target/debug/ade"));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Waits until something is so, and says what it last was when it never is. */
export async function until(what, holds, seconds = 120) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      last = await holds();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what} (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`);
    await new Promise((then) => setTimeout(then, 50));
  }
}

/** Below the ports from which connections get their own, so that it is free again after a restart. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const isFree = await new Promise((then) => {
      const server = createServer().once("error", () => then(false)).listen(port, "127.0.0.1", () => server.close(() => then(true)));
    });
    if (isFree) return port;
  }
}

/** Always at the same address. `engine` is "scripted", which does what its input says, or "builtin". */
export class Service {
  static async start({ engine = "scripted", auth = "off", env = {} } = {}) {
    const service = new Service();
    service.folder = mkdtempSync(join(tmpdir(), "ade-console-"));
    service.dataDir = join(service.folder, "data");
    service.port = await freePort();
    service.url = `http://127.0.0.1:${service.port}`;
    const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("ADE")));
    service.env = {
      ...kept, ADE_AUTH: auth, ADE_BIND: `127.0.0.1:${service.port}`, ADE_DATA_DIR: service.dataDir, ADE_SSE_HEARTBEAT: "2s",
      ADE_LOG_DURABILITY: "write", ...env,
    };
    if (engine === "scripted") {
      const packages = join(ROOT, "tests/faults/support/packages");
      for (const name of ["engine", "configuration"]) {
        cpSync(join(packages, name), join(service.folder, name), { recursive: true });
        copyFileSync(join(ROOT, "tests/support/backend.py"), join(service.folder, name, "backend.py"));
      }
      Object.assign(service.env, { ADE_ENGINE_SPEC: join(service.folder, "engine"), ADE_INSTALLER: "pip" });
    }
    await service.up();
    return service;
  }

  async up() {
    const log = openSync(join(this.folder, "service.log"), "a");
    this.child = spawn(PROGRAM, ["serve"], { env: this.env, stdio: ["ignore", "pipe", log] });
    this.child.stdout.setEncoding("utf8");
    await new Promise((then, fail) => {
      let text = "";
      this.child.stdout.on("data", (data) => (text += data).includes("listening on ") && then());
      this.child.once("exit", (code) => fail(new Error(`no service (${code}): ${readFileSync(join(this.folder, "service.log"), "utf8").slice(-2000)}`)));
    });
    if (this.env.ADE_AUTH !== "off") this.key ??= readFileSync(join(this.dataDir, "admin.key"), "utf8").trim();
    return this;
  }

  /** As a crash ends it. */
  async kill() {
    await this.#end("SIGKILL");
  }

  async stop() {
    await this.#end("SIGTERM");
  }

  async #end(signal) {
    if (!this.child) return;
    const gone = new Promise((then) => this.child.once("exit", then));
    this.child.removeAllListeners("exit").once("exit", () => {});
    const ended = new Promise((then) => this.child.once("exit", then));
    this.child.kill(signal);
    await Promise.race([gone, ended]);
    this.child = undefined;
  }

  async end() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async call(method, path, body, headers = {}) {
    const key = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    const isForm = body instanceof FormData;
    const answer = await fetch(`${this.url}/api/v1/${path}`, {
      method, body: body === undefined || isForm ? body : JSON.stringify(body),
      headers: { ...key, ...(body !== undefined && !isForm ? { "Content-Type": "application/json" } : {}), ...headers },
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
    return text ? JSON.parse(text) : undefined;
  }

  get(path) {
    return this.call("GET", path);
  }

  async workspace() {
    return (await this.get("workspaces")).items[0].id;
  }

  async upload(workspace, name, content) {
    const form = new FormData();
    form.set("file", new Blob([content]), name);
    return (await this.call("POST", `workspaces/${workspace}/documents`, form)).id;
  }

  /** A configuration that is active: of the template, or the scripted engine's. */
  async configure(workspace, name = "Roster") {
    let made;
    if (this.env.ADE_ENGINE_SPEC) {
      const zip = join(this.folder, "configuration.zip");
      execFileSync("python3", ["-c", "import shutil, sys; shutil.make_archive(sys.argv[1][:-4], 'zip', sys.argv[2])", zip, join(this.folder, "configuration")]);
      const form = new FormData();
      form.set("display_name", name);
      form.set("file", new Blob([readFileSync(zip)]), "configuration.zip");
      made = await this.call("POST", `workspaces/${workspace}/configurations/import`, form);
    } else {
      made = await this.call("POST", `workspaces/${workspace}/configurations`, { display_name: name, source: { type: "template", template_id: "default" } });
    }
    await this.call("POST", `workspaces/${workspace}/configurations/${made.id}/activate`, {});
    return made.id;
  }

  /** Starts a run; of the scripted engine, `input` is its script. */
  async run(workspace, configuration, input, name = "script.txt") {
    const document = await this.upload(workspace, name, input);
    return (await this.call("POST", `workspaces/${workspace}/configurations/${configuration}/runs`, { options: { input_document_id: document } })).id;
  }

  async finished(run, seconds = 120) {
    return until(`${run} has ended`, async () => {
      const found = await this.get(`runs/${run}`);
      return found.completed_at ? found : undefined;
    }, seconds);
  }

  /** A workspace, and a configuration in it that has its environment already. */
  async furnish() {
    const workspace = await this.workspace();
    const configuration = await this.configure(workspace);
    await this.finished(await this.run(workspace, configuration, "print ready\n"));
    return { workspace, configuration };
  }
}

// ---- browsers

export async function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--enable-precise-memory-info", "--disable-dev-shm-usage"] });
}

/** A page that fails its test when something goes wrong in it. */
export async function open(browser, service, path = "/", { context, ...options } = {}) {
  const own = context ?? (await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options }));
  own.setDefaultTimeout(120_000);
  const page = await own.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const text = message.text();
    // What the service refuses, and that it is away, is for the page to show.
    if (message.type() === "error" && !/Failed to load resource|net::ERR|status of/.test(text)) page.faults.push(text);
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith("http") && origin !== service.url) page.faults.push(`asks another origin: ${request.url()}`);
  });
  await page.goto(service.url + path);
  return page;
}

/** Drops a file on the page, as a hand does. */
export async function drop(page, name, content, type = "application/octet-stream") {
  const transfer = await page.evaluateHandle(([name, base64, type]) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, { type }));
    return transfer;
  }, [name, Buffer.from(content).toString("base64"), type]);
  for (const kind of ["dragenter", "dragover", "drop"]) await page.dispatchEvent("main", kind, { dataTransfer: transfer });
}

/** The lines of the console that are seen, by their number. */
export function linesOf(page) {
  return page.$$eval("[data-line]", (lines) => lines.map((line) => [Number(line.dataset.line), line.querySelector(".text").textContent]));
}

export function statusOf(page) {
  return page.locator("main h1 ~ [data-status]").first().getAttribute("data-status");
}

/** What the worker says of its connections. */
export function liveOf(page) {
  return page.locator("[data-live]").evaluate((it) => ({
    state: it.dataset.live, connections: Number(it.dataset.connections), tabs: Number(it.dataset.tabs),
  }));
}

export const write = (path, content) => writeFileSync(path, content);

/** What the scripted engine does, as Python. */
export const python = (code) => `python exec(${JSON.stringify(code)})\n`;
