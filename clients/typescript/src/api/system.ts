import type { Http } from "../http.js";
import type { Actors, AuditPage, Health, MaintenanceReport, Node, NodeList, SafeMode, SafeModeSwitch } from "../resources.js";

/** The service itself: for admins, but for its health and whether it takes new work. */
export class System {
  constructor(private readonly http: Http) {}

  health(): Promise<Health> {
    return this.http.json("GET", "/health");
  }

  /** What is at work, and how far it has come. */
  actors(): Promise<Actors> {
    return this.http.json("GET", "/system/actors");
  }

  /** Which nodes share the database, and which of them are at work. */
  async nodes(): Promise<Node[]> {
    const { items } = await this.http.json<NodeList>("GET", "/system/nodes");
    return items;
  }

  maintain(): Promise<MaintenanceReport> {
    return this.http.json("POST", "/system/maintenance");
  }

  safeMode(): Promise<SafeMode> {
    return this.http.json("GET", "/system/safe-mode");
  }

  /** While it is on no new work is taken. */
  setSafeMode(wanted: SafeModeSwitch): Promise<SafeMode> {
    return this.http.json("PUT", "/system/safe-mode", { json: wanted });
  }

  /** Who has changed what, oldest first, behind the sequence `after`. */
  audit(after = 0, limit = 100): Promise<AuditPage> {
    return this.http.json("GET", "/audit", { query: { after_sequence: after, limit } });
  }
}
