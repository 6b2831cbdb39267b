import type { Http } from "../http.js";
import type { ApiKey, NewApiKey, Role, Session, Ticket } from "../resources.js";
import type { Provider, Providers } from "../schema.js";
import { at } from "./common.js";

/** The session of a browser: made with a key, kept in a cookie that no script can read. */
export class Sessions {
  constructor(private readonly http: Http) {}

  async signIn(key: string): Promise<Session> {
    const session = await this.http.json<Session>("POST", "/session", { json: { key } });
    this.http.csrfToken = session.csrf_token ?? undefined;
    return session;
  }

  /** Who the caller is. */
  async show(): Promise<Session> {
    const session = await this.http.json<Session>("GET", "/session");
    this.http.csrfToken = session.csrf_token ?? undefined;
    return session;
  }

  async signOut(): Promise<void> {
    await this.http.json("DELETE", "/session");
    this.http.csrfToken = undefined;
  }

  /** Who else signs people in; a browser is sent to `begin`. */
  async providers(): Promise<Provider[]> {
    return (await this.http.json<Providers>("GET", "/session/providers")).items;
  }

  /** Lets somebody read the events of one stream; to be used within a minute, then good for twelve hours. */
  ticket(stream: string): Promise<Ticket> {
    return this.http.json("POST", "/stream-tickets", { json: { stream } });
  }
}

export class ApiKeys {
  constructor(private readonly http: Http) {}

  /** `key` is in this answer and never again. */
  create(key: {
    name: string;
    role: Role;
    workspaces?: string[];
    expires_at?: string;
  }): Promise<NewApiKey> {
    return this.http.json("POST", "/api-keys", { json: key });
  }

  async list(): Promise<ApiKey[]> {
    return (await this.http.json<{ items: ApiKey[] }>("GET", "/api-keys")).items;
  }

  get(key: string): Promise<ApiKey> {
    return this.http.json("GET", at("api-keys", key));
  }

  revoke(key: string): Promise<void> {
    return this.http.json("DELETE", at("api-keys", key));
  }
}
