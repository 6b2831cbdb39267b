// What somebody may do, and where: the service's own rule (docs/SIGN_IN.md), so that there are buttons for what it allows
// and for nothing that it would refuse.

import type { Role, Session } from "./types";

/** As `GET /session` says them. A membership adds to what the role allows in its own workspace, and takes nothing away. */
export type Rights = Pick<Session, "role" | "workspaces" | "memberships">;

export const NONE: Rights = { role: "viewer", workspaces: [], memberships: [] };

const RANKS: Role[] = ["viewer", "operator", "admin"];

/** The role in one workspace; none where it is not to be seen at all. */
export function roleIn(rights: Rights, workspace: string): Role | undefined {
  if (rights.role === "admin") return "admin";
  const roles: Role[] = rights.memberships.filter((it) => it.workspace_id === workspace).map((it) => it.role);
  if (isEverywhere(rights) || rights.workspaces?.includes(workspace)) roles.push(rights.role);
  return RANKS.findLast((role) => roles.includes(role));
}

/** May create, change, cancel, retry and answer in that workspace. */
export function canWriteIn(rights: Rights, workspace: string | undefined): boolean {
  const role = workspace === undefined ? undefined : roleIn(rights, workspace);
  return role !== undefined && role !== "viewer";
}

/** What is about no single workspace is for those who may see every one, and no membership makes anybody such. */
export function canMakeWorkspaces(rights: Rights): boolean {
  return rights.role !== "viewer" && isEverywhere(rights);
}

function isEverywhere(rights: Rights): boolean {
  return rights.workspaces === null;
}
