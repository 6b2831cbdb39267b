import type { Http } from "../http.js";
import type { Member, MemberRole, MemberToAdd, Person } from "../resources.js";
import type { MemberList, PersonList } from "../schema.js";
import { at } from "./common.js";

/** What keys and people may do in single workspaces, besides what they may anyway. */
export class Members {
  constructor(private readonly http: Http) {}

  async list(workspace: string): Promise<Member[]> {
    return (await this.http.json<MemberList>("GET", at("workspaces", workspace, "members"))).items;
  }

  get(workspace: string, member: string): Promise<Member> {
    return this.http.json("GET", at("workspaces", workspace, "members", member));
  }

  /** A key or a person by its id, or a person by its `subject`. */
  add(workspace: string, member: MemberToAdd): Promise<Member> {
    return this.http.json("POST", at("workspaces", workspace, "members"), { json: member });
  }

  change(workspace: string, member: string, role: MemberRole): Promise<Member> {
    return this.http.json("PUT", at("workspaces", workspace, "members", member), { json: { role } });
  }

  remove(workspace: string, member: string): Promise<void> {
    return this.http.json("DELETE", at("workspaces", workspace, "members", member));
  }

  /** Whom a provider of OpenID Connect has named, who came last first. */
  async people(): Promise<Person[]> {
    return (await this.http.json<PersonList>("GET", "/people")).items;
  }
}
