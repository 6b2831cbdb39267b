// Files of configurations, one by one. A package as a whole is imported and exported by `configurations`.

import type { Http, Query } from "../http.js";
import type { DirectoryMade, FileContent, FileEntry, FileListing, FileMoved, FileWritten } from "../resources.js";
import { at, below } from "./common.js";

export interface FilesQuery {
  /** Only what is below this path. */
  prefix?: string;
  depth?: "0" | "1" | "infinity";
  sort?: "path" | "name" | "mtime" | "size";
  order?: "asc" | "desc";
  limit?: number;
}

/** Of a file that is there already a change must know the content: `etag` as a read or a write has told it. */
export interface Known {
  etag?: string;
}

export class ConfigurationFiles {
  constructor(private readonly http: Http) {}

  /** A page; `token` is `next_token` of the one before. */
  page(workspace: string, configuration: string, query: FilesQuery = {}, token?: string): Promise<FileListing> {
    const sent: Query = { ...query, page_token: token };
    return this.http.json("GET", `${root(workspace, configuration)}/files`, { query: sent });
  }

  /** All of them, page by page; it fails when files change meanwhile. */
  async *list(workspace: string, configuration: string, query: FilesQuery = {}): AsyncGenerator<FileEntry> {
    let token: string | undefined;
    do {
      const page = await this.page(workspace, configuration, query, token);
      yield* page.entries;
      token = page.next_token ?? undefined;
    } while (token !== undefined);
  }

  /** With the content as text, or in base64 where it is none. */
  read(workspace: string, configuration: string, path: string): Promise<FileContent> {
    return this.http.json("GET", file(workspace, configuration, path), { query: { format: "json" } });
  }

  /** The bytes, as they are read. */
  download(workspace: string, configuration: string, path: string): Promise<Response> {
    return this.http.send("GET", file(workspace, configuration, path), { query: { format: "raw" } });
  }

  /** A new file, or new content of the one whose `etag` is known. */
  write(
    workspace: string,
    configuration: string,
    path: string,
    content: string | Blob | ArrayBuffer | Uint8Array<ArrayBuffer>,
    { etag, parents }: Known & { /** Makes the directories that it is in. */ parents?: boolean } = {},
  ): Promise<FileWritten> {
    const headers = { "Content-Type": "application/octet-stream", ...matching(etag, true) };
    const query: Query = { parents };
    return this.http.json("PUT", file(workspace, configuration, path), { body: content, headers, query });
  }

  /** Another path, at which nothing is, or the file whose `etag` is in `replacing`. */
  rename(
    workspace: string,
    configuration: string,
    path: string,
    to: string,
    { etag, replacing }: Known & { replacing?: string } = {},
  ): Promise<FileMoved> {
    const json = { to, ...(replacing !== undefined && { overwrite: true, dest_if_match: replacing }) };
    return this.http.json("PATCH", file(workspace, configuration, path), { json, headers: matching(etag) });
  }

  delete(workspace: string, configuration: string, path: string, etag: string): Promise<void> {
    return this.http.json("DELETE", file(workspace, configuration, path), { headers: matching(etag) });
  }

  makeDirectory(workspace: string, configuration: string, path: string): Promise<DirectoryMade> {
    return this.http.json("PUT", `${root(workspace, configuration)}/directories${below(path)}`);
  }

  /** `recursive`: with all that is in it. */
  deleteDirectory(
    workspace: string,
    configuration: string,
    path: string,
    { recursive }: { recursive?: boolean } = {},
  ): Promise<void> {
    const query: Query = { recursive };
    return this.http.json("DELETE", `${root(workspace, configuration)}/directories${below(path)}`, { query });
  }
}

function root(workspace: string, configuration: string): string {
  return at("workspaces", workspace, "configurations", configuration);
}

function file(workspace: string, configuration: string, path: string): string {
  return `${root(workspace, configuration)}/files${below(path)}`;
}

/** Without a content that is known there must be no file, where one is made. */
function matching(etag: string | undefined, isMade = false): Record<string, string> {
  if (etag !== undefined) return { "If-Match": etag };
  return isMade ? { "If-None-Match": "*" } : {};
}
