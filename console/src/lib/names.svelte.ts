// Names of what other resources refer to by id, each asked for once.

import { get } from "./api";
import { configurationsOf } from "./runs";
import type { Configuration, InputDocument } from "./types";

class Names {
  #documents = $state<Record<string, string>>({});
  #asked = new Set<string>();
  configurations = $state.raw<Record<string, Configuration>>({});

  document(workspace: string, id: string | undefined): string | undefined {
    if (!id) return undefined;
    if (!this.#asked.has(id)) {
      this.#asked.add(id);
      // Not while something is drawn: that may not change what it depends on.
      queueMicrotask(() => void this.#find(workspace, id));
    }
    return this.#documents[id];
  }

  async #find(workspace: string, id: string): Promise<void> {
    try {
      this.#documents[id] = (await get<InputDocument>(`workspaces/${workspace}/documents/${id}`)).name;
    } catch {
      // It was deleted, or another time.
    }
  }

  async loadConfigurations(workspace: string): Promise<void> {
    try {
      const found = await configurationsOf(workspace);
      this.configurations = { ...this.configurations, ...Object.fromEntries(found.map((it) => [it.id, it])) };
    } catch {
      // Ids are shown in place of names.
    }
  }
}
export const names = new Names();
