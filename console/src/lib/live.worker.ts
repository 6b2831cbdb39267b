// Holds the connections: as a shared worker for all tabs of this browser, or as a tab's own where there are none.

import { Hub, type Port } from "./live-core";
import type { ToWorker } from "./protocol";

const hub = new Hub();

interface Channel extends Port { onmessage: ((message: MessageEvent<ToWorker>) => void) | null; start?(): void }

function serve(channel: Channel, isShared: boolean): void {
  let tab: string | undefined;
  channel.onmessage = ({ data }) => {
    if (data.do === "open") {
      const id = data.tab;
      tab = id;
      hub.open(id, channel);
      // The tab holds this lock as long as it lives, however it ends. A worker of its own ends with it.
      if (isShared) void navigator.locks.request(`ade.tab.${id}`, () => hub.close(id));
    } else if (tab !== undefined) {
      hub.take(tab, data);
    }
  };
  channel.start?.();
}

const scope = self as unknown as {
  onconnect?: (event: MessageEvent) => void; SharedWorkerGlobalScope?: unknown;
};
if ("SharedWorkerGlobalScope" in scope) scope.onconnect = (event) => serve(event.ports[0] as unknown as Channel, true);
else serve(self as unknown as Channel, false);
