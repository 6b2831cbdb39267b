import type { FeedEvent } from "../events.js";
import { Follow, type FollowOptions } from "../follow/follow.js";
import type { Http } from "../http.js";
import type {
  Configuration,
  ConfigurationValidation,
  Document,
  DocumentChange,
  ListQuery,
  Sheet,
  Workspace,
  WorkspaceChange,
} from "../resources.js";
import type { ChosenWorkspace } from "../schema.js";
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

  /** What is left out stays as it is. */
  change(workspace: string, change: WorkspaceChange): Promise<Workspace> {
    return this.http.json("PATCH", at("workspaces", workspace), { json: change });
  }

  /** With everything in it, unless something there is still at work. */
  delete(workspace: string): Promise<void> {
    return this.http.json("DELETE", at("workspaces", workspace));
  }

  /** The one that this caller means from now on when it names none. */
  choose(workspace: string): Promise<ChosenWorkspace> {
    return this.http.json("PUT", at("workspaces", workspace, "default"));
  }

  /** The stored lines of the feed (NDJSON), as they are. */
  log(workspace: string, signal?: AbortSignal): Promise<Response> {
    return this.http.send("GET", at("workspaces", workspace, "events", "download"), signal ? { signal } : {});
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

  rename(workspace: string, configuration: string, display_name: string): Promise<Configuration> {
    return this.http.json("PATCH", at("workspaces", workspace, "configurations", configuration), { json: { display_name } });
  }

  /** Its runs and builds stay. */
  delete(workspace: string, configuration: string): Promise<void> {
    return this.http.json("DELETE", at("workspaces", workspace, "configurations", configuration));
  }

  /** From now on it is not edited any more; a clone of it can be. */
  publish(workspace: string, configuration: string): Promise<Configuration> {
    return this.http.json("POST", at("workspaces", workspace, "configurations", configuration, "publish"));
  }

  /** The configuration that the workspace uses from now on. */
  activate(workspace: string, configuration: string): Promise<Configuration> {
    return this.http.json("POST", at("workspaces", workspace, "configurations", configuration, "activate"));
  }

  /** The workspace has no active one any more. */
  deactivate(workspace: string, configuration: string): Promise<Configuration> {
    return this.http.json("POST", at("workspaces", workspace, "configurations", configuration, "deactivate"));
  }

  /** What is wrong with its files, as far as that can be seen without running them. */
  validate(workspace: string, configuration: string): Promise<ConfigurationValidation> {
    return this.http.json("POST", at("workspaces", workspace, "configurations", configuration, "validate"));
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

  /** What is left out stays as it is. */
  change(workspace: string, document: string, change: DocumentChange): Promise<Document> {
    return this.http.json("PATCH", at("workspaces", workspace, "documents", document), { json: change });
  }

  /** Runs that have finished show it as before. */
  delete(workspace: string, document: string): Promise<void> {
    return this.http.json("DELETE", at("workspaces", workspace, "documents", document));
  }

  /** Of a workbook its sheets, of a text file one. */
  sheets(workspace: string, document: string): Promise<Sheet[]> {
    return this.http.json("GET", at("workspaces", workspace, "documents", document, "sheets"));
  }

  list(workspace: string, query: ListQuery = {}): Listing<Document> {
    return new Listing(this.http, at("workspaces", workspace, "documents"), { ...query });
  }

  download(workspace: string, document: string): Promise<Response> {
    return this.http.send("GET", at("workspaces", workspace, "documents", document, "download"));
  }
}
