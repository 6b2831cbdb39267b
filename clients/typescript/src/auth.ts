// How a caller shows who it is: by a key, by the session of a browser, or by a ticket for one stream.

export type Auth =
  /** `Authorization: Bearer`; for programs. */
  | { key: string }
  /** The cookie of this page's origin, with the token of the session on every change; for browsers. */
  | { session: true }
  /** Gives a ticket for a stream, for instance from your own server; reads events and nothing else. */
  | { ticket: (stream: string) => string | Promise<string> };

/** What tabs of one origin must have in common to share a connection; holds no secret. */
export function identityOf(auth: Auth | undefined): string {
  if (auth && "key" in auth) return auth.key.split("_", 2).join("_");
  return auth && "session" in auth ? "session" : "none";
}
