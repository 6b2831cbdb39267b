// Many streams on one connection, for one page or for all tabs of a browser.

import { identityOf } from "./auth.js";
import type { AnyEvent, BuildEvent, ExecutionEvent, FeedEvent, RunEvent } from "./events.js";
import { type Filter, filterQuery, type ReaderOptions, SILENCE } from "./follow/follow.js";
import type { Following } from "./follow/following.js";
import { Hub } from "./follow/hub.js";
import type { Source } from "./follow/source.js";
import { Subscription, type SubscriptionOptions } from "./follow/subscription.js";
import { canShareTabs, Tabs } from "./follow/tabs.js";
import type { Http, Query } from "./http.js";

export interface ConnectionOptions extends Filter, Pick<ReaderOptions, "silence" | "backoff"> {
  /** One connection for all tabs of this origin that are signed in alike; where a browser cannot, one for each. */
  tabs?: boolean;
}

export class Connection {
  readonly #http: Http;
  readonly #query: Query;
  readonly #hub: Hub;
  readonly #tabs: Tabs | undefined;
  readonly #open = new Set<{ close(): void }>();

  constructor(http: Http, { tabs = false, silence = SILENCE, backoff, ...filter }: ConnectionOptions = {}) {
    if (http.auth && "ticket" in http.auth) throw new TypeError("a ticket is for one stream: use `follow`");
    this.#http = http;
    this.#query = filterQuery(filter);
    this.#hub = new Hub(http, { query: this.#query, silence, backoff });
    if (tabs && canShareTabs()) this.#tabs = new Tabs(nameOf(http, this.#query), this.#hub);
  }

  /** Whether this tab holds the connection for the others; `undefined` when tabs share none. */
  get role(): "leader" | "follower" | undefined {
    return this.#tabs?.role;
  }

  /** A run, a build, an execution or the feed of a workspace. What is followed twice is carried once. */
  follow<E extends AnyEvent = AnyEvent>(stream: string, options: SubscriptionOptions = {}): Following<E> {
    const source: Source = this.#tabs ?? this.#hub;
    const subscription = new Subscription<E>(this.#http, source, this.#query, stream, options);
    this.#open.add(subscription);
    const off = subscription.onState(({ state }) => {
      if (state === "ended" && this.#open.delete(subscription)) off();
    });
    return subscription;
  }

  run(run: string, options?: SubscriptionOptions): Following<RunEvent> {
    return this.follow(run, options);
  }

  build(build: string, options?: SubscriptionOptions): Following<BuildEvent> {
    return this.follow(build, options);
  }

  execution(execution: string, options?: SubscriptionOptions): Following<ExecutionEvent> {
    return this.follow(execution, options);
  }

  /** What becomes of everything in a workspace; it has no end. */
  feed(workspace: string, options?: SubscriptionOptions): Following<FeedEvent> {
    return this.follow(workspace, options);
  }

  /** Comes back now, if it waits: the network is back, or somebody has signed in. */
  wake(): void {
    (this.#tabs ?? this.#hub).wake();
  }

  close(): void {
    for (const subscription of this.#open) subscription.close();
    this.#tabs?.close();
    this.#hub.close();
  }
}

function nameOf(http: Http, query: Query): string {
  return `ade ${http.base} ${identityOf(http.auth)} ${JSON.stringify(query)}`;
}
