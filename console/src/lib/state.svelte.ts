// What all pages share: the time, where the reader is, who they are, and what is told to them.

import { get, Problem, request, useToken, whenSignedOut } from "./api";
import { canMakeWorkspaces, canWriteIn, NONE, roleIn, type Rights } from "./rights";
import type { Role, Session as SessionResource, Workspace } from "./types";

/** The present second, while somebody looks. */
export const clock = $state({ now: Date.now() });
setInterval(() => {
  if (!document.hidden) clock.now = Date.now();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) clock.now = Date.now();
});

// ---- where

class Location {
  path = $state(window.location.pathname);
  search = $state(window.location.search);
  hash = $state(window.location.hash);
  params = $derived(new URLSearchParams(this.search));
  parts = $derived(this.path.split("/").filter(Boolean));

  constructor() {
    window.addEventListener("popstate", () => this.#read());
    window.addEventListener("hashchange", () => this.#read());
  }

  #read(): void {
    this.path = window.location.pathname;
    this.search = window.location.search;
    this.hash = window.location.hash;
  }

  go(to: string, replace = false): void {
    if (replace) history.replaceState(null, "", to);
    else history.pushState(null, "", to);
    const moved = this.path !== window.location.pathname;
    this.#read();
    if (moved && !replace) window.scrollTo(0, 0);
  }

  /** The same page with other parameters; empty ones are left out. */
  set(values: Record<string, string | string[] | undefined>): void {
    const params = new URLSearchParams(this.search);
    for (const [name, value] of Object.entries(values)) {
      params.delete(name);
      for (const one of Array.isArray(value) ? value : [value]) if (one) params.append(name, one);
    }
    const text = params.toString();
    this.go(`${this.path}${text ? `?${text}` : ""}`, true);
  }
}
export const location = new Location();

/** Links within the console do not load the page anew. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) {
    return;
  }
  const link = (event.target as Element | null)?.closest("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== window.location.origin) return;
  if (/^\/(api|health|metrics)(\/|$)/.test(link.pathname)) return;
  event.preventDefault();
  const to = link.pathname + link.search + link.hash;
  location.go(to);
}

// ---- who

class Session {
  state = $state<"unknown" | "in" | "out" | "offline">("unknown");
  signIn = $state(true);
  name = $state("");
  #rights = $state.raw<Rights>(NONE);
  /** For what is about no single workspace. */
  isAdmin = $derived(this.#rights.role === "admin");
  canMakeWorkspaces = $derived(canMakeWorkspaces(this.#rights));

  /** Of what the page is about: a workspace, or all of them. */
  roleIn(workspace: string | undefined): Role {
    return (workspace && roleIn(this.#rights, workspace)) || this.#rights.role;
  }

  /** May create, change, cancel, retry and answer in that workspace; in none that is not known yet. */
  canWriteIn(workspace: string | undefined): boolean {
    return canWriteIn(this.#rights, workspace);
  }

  async load(): Promise<void> {
    try {
      this.#take(await (await request("session", { asks: true })).json());
    } catch (error) {
      this.state = error instanceof Problem && error.status === 401 ? "out" : "offline";
    }
  }

  async enter(key: string): Promise<void> {
    const answer = await request("session", { method: "POST", body: { key }, asks: true });
    this.#take(await answer.json());
  }

  async leave(): Promise<void> {
    await request("session", { method: "DELETE", asks: true }).catch(() => {});
    this.end();
  }

  end(): void {
    useToken(undefined);
    workspaces.list = undefined;
    if (this.state !== "out") this.state = "out";
  }

  #take(session: SessionResource): void {
    this.signIn = session.sign_in;
    this.name = session.name;
    this.#rights = session;
    useToken(session.csrf_token ?? undefined);
    this.state = "in";
  }
}
export const session = new Session();
whenSignedOut(() => session.end());

// ---- workspaces

class Workspaces {
  list = $state.raw<Workspace[] | undefined>();
  /** Why there is no list, or no newer one. */
  error = $state.raw<Error | undefined>();
  /** The one that the page is about. */
  current = $state<string | undefined>();

  async load(): Promise<void> {
    try {
      this.list = (await get<{ items: Workspace[] }>("workspaces?perPage=200")).items;
      this.error = undefined;
    } catch (error) {
      this.error = error as Error;
    }
  }

  of(id: string | undefined): Workspace | undefined {
    return this.list?.find((workspace) => workspace.id === id);
  }

  use(id: string): void {
    this.current = id;
    try {
      localStorage.setItem("ade.workspace", id);
    } catch {
      // It is only where the next visit begins.
    }
  }

  /** Where somebody begins who names none. */
  get first(): string | undefined {
    let remembered: string | null = null;
    try {
      remembered = localStorage.getItem("ade.workspace");
    } catch {
      // As above.
    }
    const list = this.list ?? [];
    const found = list.find((it) => it.id === remembered) ?? list.find((it) => it.is_default) ??
      list.find((it) => it.slug === "local") ?? list[0];
    return found?.id;
  }
}
export const workspaces = new Workspaces();

// ---- what is told

export interface Toast { id: number; text: string; kind: "info" | "bad"; href?: string }
export const toasts = $state<Toast[]>([]);
let toastCount = 0;

export function tell(text: string, kind: "info" | "bad" = "info", href?: string): void {
  const id = ++toastCount;
  toasts.push({ id, text, kind, href });
  setTimeout(() => {
    const at = toasts.findIndex((toast) => toast.id === id);
    if (at >= 0) toasts.splice(at, 1);
  }, kind === "bad" ? 12000 : 6000);
}

/** Does it, and tells why not when it fails. */
export async function attempt<T>(what: () => Promise<T>): Promise<T | undefined> {
  try {
    return await what();
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error), "bad");
    return undefined;
  }
}

/** Something that is read from the service: what there is of it, and why there is no more. */
export class Loaded<T> {
  data = $state.raw<T | undefined>();
  error = $state.raw<Error | undefined>();
  loading = $state(false);
  #read: (signal: AbortSignal) => Promise<T>;
  #running: AbortController | undefined;

  constructor(read: (signal: AbortSignal) => Promise<T>) {
    this.#read = read;
  }

  async load(): Promise<void> {
    this.#running?.abort();
    const mine = new AbortController();
    this.#running = mine;
    this.loading = true;
    try {
      const data = await this.#read(mine.signal);
      if (mine.signal.aborted) return;
      this.data = data;
      this.error = undefined;
    } catch (error) {
      if (mine.signal.aborted) return;
      this.error = error instanceof Error ? error : new Error(String(error));
    }
    this.loading = false;
  }

  stop(): void {
    this.#running?.abort();
  }
}

// ---- theme

class Theme {
  choice = $state<"system" | "light" | "dark">("system");

  constructor() {
    const set = document.documentElement.dataset.theme;
    if (set === "light" || set === "dark") this.choice = set;
  }

  next(): void {
    this.choice = this.choice === "system" ? "light" : this.choice === "light" ? "dark" : "system";
    if (this.choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
    try {
      if (this.choice === "system") localStorage.removeItem("ade.theme");
      else localStorage.setItem("ade.theme", this.choice);
    } catch {
      // Then it holds for this page alone.
    }
  }
}
export const theme = new Theme();
