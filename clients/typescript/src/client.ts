// Everything that the service offers, by kind.

import { Builds } from "./api/builds.js";
import { Executions } from "./api/executions.js";
import { ConfigurationFiles } from "./api/files.js";
import { Members } from "./api/members.js";
import { Runs } from "./api/runs.js";
import { ApiKeys, Sessions } from "./api/sign_in.js";
import { System } from "./api/system.js";
import { WorkflowDocuments, Workflows } from "./api/workflows.js";
import { Configurations, Documents, Workspaces } from "./api/workspaces.js";
import { Connection, type ConnectionOptions } from "./connection.js";
import type { AnyEvent } from "./events.js";
import { Follow, type FollowOptions } from "./follow/follow.js";
import { Http, type HttpOptions, type Sent } from "./http.js";

export class AdeClient {
  readonly #http: Http;
  readonly workspaces: Workspaces;
  readonly configurations: Configurations;
  readonly configurationFiles: ConfigurationFiles;
  readonly documents: Documents;
  readonly runs: Runs;
  readonly builds: Builds;
  readonly executions: Executions;
  readonly workflows: Workflows;
  readonly workflowDocuments: WorkflowDocuments;
  readonly session: Sessions;
  readonly apiKeys: ApiKeys;
  readonly members: Members;
  readonly system: System;

  constructor(options: HttpOptions = {}) {
    const http = new Http(options);
    this.#http = http;
    this.workspaces = new Workspaces(http);
    this.configurations = new Configurations(http);
    this.configurationFiles = new ConfigurationFiles(http);
    this.documents = new Documents(http);
    this.runs = new Runs(http);
    this.builds = new Builds(http);
    this.executions = new Executions(http);
    this.workflows = new Workflows(http);
    this.workflowDocuments = new WorkflowDocuments(http);
    this.session = new Sessions(http);
    this.apiKeys = new ApiKeys(http);
    this.members = new Members(http);
    this.system = new System(http);
  }

  /** Any stream by its id, on a connection of its own; where it is known what it is: `client.runs.follow` and so on. */
  follow<E extends AnyEvent = AnyEvent>(stream: string, options?: FollowOptions): Follow<E> {
    return new Follow<E>(this.#http, stream, options);
  }

  /** One connection for many streams, opened with the first that is followed. */
  connection(options?: ConnectionOptions): Connection {
    return new Connection(this.#http, options);
  }

  /** Whatever else is below `/api/v1`; an answer of 400 and above is a `ProblemError`. */
  request<T = unknown>(method: string, path: string, sent?: Sent): Promise<T> {
    return this.#http.json<T>(method, path, sent);
  }

  /** The same for what is not JSON. */
  send(method: string, path: string, sent?: Sent): Promise<Response> {
    return this.#http.send(method, path, sent);
  }
}
