import type { FeedEvent } from "../events.js";
import { Follow, type FollowOptions } from "../follow/follow.js";
import type { Http } from "../http.js";
import type { Configuration, Document, ListQuery, Workspace } from "../resources.js";
import { at, form, Listing } from "./common.js";

export class Workspaces {
  constructor(private readonly http: Http) {}

  create(workspace: { name: string; slug?: string }): Promise<Workspace> {
    return this.http.json("POST", "/workspaces", { json: workspace });
  }

  get(workspace: string): Promise<Workspace> {
    return this.http.json("GET", at("workspaces", workspace));
  }

  list(query: ListQuery = {}): Listing<Workspace> {
    return new Listing(this.http, "/workspaces", { ...query });
  }

  /** The feed: what becomes of every run and build of the workspace. It has no end. */
  follow(workspace: string, options?: FollowOptions): Follow<FeedEvent> {
    return new Follow<FeedEvent>(this.http, workspace, options);
  }
}

export class Configurations {
  constructor(private readonly http: Http) {}

  /** From a template, unless another configuration is to be copied. */
  create(workspace: string, display_name: string, clone?: string): Promise<Configuration> {
    const source = clone ? { type: "clone", configuration_id: clone } : { type: "template", template_id: "default" };
    return this.http.json("POST", at("workspaces", workspace, "configurations"), { json: { display_name, source } });
  }

  /** From a zip archive of a package. */
  import(workspace: string, archive: Blob, display_name?: string): Promise<Configuration> {
    const body = form(archive, "configuration.zip", { display_name });
    return this.http.json("POST", at("workspaces", workspace, "configurations", "import"), { body });
  }

  get(workspace: string, configuration: string): Promise<Configuration> {
    return this.http.json("GET", at("workspaces", workspace, "configurations", configuration));
  }

  list(workspace: string, query: ListQuery = {}): Listing<Configuration> {
    return new Listing(this.http, at("workspaces", workspace, "configurations"), { ...query });
  }

  /** The configuration that the workspace uses from now on. */
  activate(workspace: string, configuration: string): Promise<Configuration> {
    return this.http.json("POST", at("workspaces", workspace, "configurations", configuration, "activate"));
  }

  /** The zip archive; its `ETag` is what `replace` needs. */
  export(workspace: string, configuration: string): Promise<Response> {
    return this.http.send("GET", at("workspaces", workspace, "configurations", configuration, "export"));
  }

  /** Puts another archive in its place, unless somebody else was faster. */
  replace(workspace: string, configuration: string, archive: Blob, etag: string): Promise<Configuration> {
    const path = at("workspaces", workspace, "configurations", configuration, "import");
    return this.http.json("PUT", path, { body: form(archive, "configuration.zip", {}), headers: { "If-Match": etag } });
  }
}

/** Input files. What workflows write is in `workflowDocuments`. */
export class Documents {
  constructor(private readonly http: Http) {}

  upload(workspace: string, file: Blob, name?: string, metadata?: Record<string, unknown>): Promise<Document> {
    const body = form(file, name, { metadata: metadata && JSON.stringify(metadata) });
    return this.http.json("POST", at("workspaces", workspace, "documents"), { body });
  }

  get(workspace: string, document: string): Promise<Document> {
    return this.http.json("GET", at("workspaces", workspace, "documents", document));
  }

  list(workspace: string, query: ListQuery = {}): Listing<Document> {
    return new Listing(this.http, at("workspaces", workspace, "documents"), { ...query });
  }

  download(workspace: string, document: string): Promise<Response> {
    return this.http.send("GET", at("workspaces", workspace, "documents", document, "download"));
  }
}
