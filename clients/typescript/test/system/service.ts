// The real service, which is killed and started again at the same address.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";

const PROGRAM = process.env.ADE ?? "../../target/debug/ade";

export class Service {
  readonly #folder = mkdtempSync(join(tmpdir(), "ade-client-"));
  readonly url: string;
  #child: ChildProcess | undefined;

  private constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(context: TestContext): Promise<Service> {
    const service = new Service(await freePort());
    await service.start();
    context.after(async () => {
      await service.kill();
      rmSync(service.#folder, { recursive: true, force: true });
    });
    return service;
  }

  /** The first key, which its first start has made. */
  get key(): string {
    return readFileSync(join(this.#folder, "admin.key"), "utf8").trim();
  }

  async start(): Promise<void> {
    const settings = { ADE_BIND: this.url.slice("http://".length), ADE_DATA_DIR: this.#folder, ADE_SSE_HEARTBEAT: "2s" };
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("ADE_"));
    const env = { ...Object.fromEntries(kept), ...settings };
    const child = spawn(PROGRAM, ["serve"], { env, stdio: ["ignore", "pipe", "ignore"] });
    this.#child = child;
    for await (const line of createInterface({ input: child.stdout })) if (line.startsWith("listening on ")) return;
    throw new Error("the service did not start");
  }

  /** As a crash ends it. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  /** How many clients read streams of a kind, as the service counts them. */
  async readers(kind: string): Promise<number> {
    const response = await fetch(`${this.url}/metrics`, { headers: { Authorization: `Bearer ${this.key}` } });
    const found = new RegExp(`^ade_stream_readers\\{kind="${kind}"\\} (\\d+)$`, "m").exec(await response.text());
    return Number(found?.[1]);
  }
}

/** Below the ports that connections get, so that none of a client that tries again takes it. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve((server.address() as AddressInfo | null) === null)));
    });
    if (free) return port;
  }
}

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`${what}: not in time`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
