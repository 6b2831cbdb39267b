// A list of the service's, of which the pages that are looked at are here.

import { get } from "./api";
import type { Page } from "./types";

const KEPT = 24;

export class PagedList<T> {
  version = $state(0);
  total = $state<number | undefined>();
  error = $state.raw<Error | undefined>();
  isLoading = $state(false);
  readonly perPage: number;
  #pathOf: (page: number, perPage: number) => string;
  #pages = new Map<number, T[]>();
  #stale = new Set<number>();
  #loading = new Map<number, AbortController>();
  #range: [number, number] = [0, 0];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(pathOf: (page: number, perPage: number) => string, perPage = 100) {
    this.#pathOf = pathOf;
    this.perPage = perPage;
  }

  row(index: number): T | undefined {
    return this.#pages.get(Math.floor(index / this.perPage))?.[index % this.perPage];
  }

  /** Begins anew: another question. */
  begin(): void {
    this.stop();
    this.#isStopped = false;
    this.#pages.clear();
    this.#stale.clear();
    this.total = undefined;
    this.error = undefined;
    this.#range = [0, 0];
    this.version += 1;
    void this.#load(0);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const loading of this.#loading.values()) loading.abort();
    this.#loading.clear();
  }

  show(first: number, last: number): void {
    this.#range = [Math.floor(first / this.perPage), Math.floor(last / this.perPage)];
    this.#loadShown();
  }

  /** Something has changed: what is shown is read again soon, and once for many changes. */
  refresh(after = 300): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      for (const page of this.#pages.keys()) this.#stale.add(page);
      this.#loadShown();
    }, after);
  }

  /** Changes rows that are here, until they are read again. */
  patch(change: (row: T) => T | undefined): void {
    let changed = false;
    for (const rows of this.#pages.values()) {
      for (const [at, row] of rows.entries()) {
        const next = change(row);
        if (next === undefined) continue;
        rows[at] = next;
        changed = true;
      }
    }
    if (changed) this.version += 1;
  }

  #loadShown(): void {
    const [from, to] = this.#range;
    for (let page = from; page <= to; page += 1) {
      if (!this.#pages.has(page) || this.#stale.has(page)) void this.#load(page);
    }
    for (const [page, loading] of this.#loading) {
      if (page >= from - 1 && page <= to + 1) continue;
      loading.abort();
      this.#loading.delete(page);
    }
  }

  async #load(page: number): Promise<void> {
    if (this.#isStopped) return;
    this.#loading.get(page)?.abort();
    const mine = new AbortController();
    this.#loading.set(page, mine);
    this.#stale.delete(page);
    this.isLoading = true;
    try {
      const found = await get<Page<T>>(this.#pathOf(page + 1, this.perPage), mine.signal);
      if (mine.signal.aborted) return;
      this.#pages.delete(page);
      this.#pages.set(page, found.items);
      for (const old of this.#pages.keys()) {
        if (this.#pages.size <= KEPT) break;
        this.#pages.delete(old);
      }
      this.total = found.total;
      this.error = undefined;
      this.version += 1;
    } catch (error) {
      if (mine.signal.aborted) return;
      this.error = error as Error;
      if (!this.#isStopped) setTimeout(() => this.refresh(), 3000);
    } finally {
      if (this.#loading.get(page) === mine) this.#loading.delete(page);
      this.isLoading = this.#loading.size > 0;
    }
  }
}
