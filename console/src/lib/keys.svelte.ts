// Keys that work on every page. Pages add what is theirs; nothing happens while somebody types.

import { location, theme, workspaces } from "./state.svelte";

export interface Key { keys: string; does: string }

export const help = $state({ isOpen: false });

export const KEYS: Key[] = [
  { keys: "/", does: "Search" },
  { keys: "j  k", does: "Next, previous in a list" },
  { keys: "Enter", does: "Open" },
  { keys: "g r", does: "Runs" },
  { keys: "g b", does: "Builds" },
  { keys: "g e", does: "Executions" },
  { keys: "g c", does: "Configurations" },
  { keys: "g o", does: "Costs" },
  { keys: "g w", does: "Workspaces" },
  { keys: "g s", does: "System" },
  { keys: "n", does: "Start a run" },
  { keys: "G", does: "End of the log, and follow it" },
  { keys: "g g", does: "Beginning of the log" },
  { keys: "t", does: "Theme" },
  { keys: "?", does: "This help" },
];

type Handler = (key: string) => boolean;
const handlers: Handler[] = [];
let prefix = "";
let timer: ReturnType<typeof setTimeout> | undefined;

/** Adds keys as long as a page is there; `"g g"` comes as `"gg"`. */
export function onKeys(handler: Handler): () => void {
  handlers.push(handler);
  return () => void handlers.splice(handlers.indexOf(handler), 1);
}

function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return !!element?.closest?.("input, textarea, select, [contenteditable]") || !!document.querySelector("dialog[open]");
}

export function handleKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) {
    if (event.key === "Escape" && event.target instanceof HTMLInputElement) event.target.blur();
    return;
  }
  if (event.key === "Shift") return;
  const key = prefix + event.key;
  prefix = "";
  clearTimeout(timer);
  if (dispatch(key)) {
    event.preventDefault();
    return;
  }
  if (event.key === "g" && key === "g") {
    prefix = "g";
    timer = setTimeout(() => (prefix = ""), 1200);
  }
}

function dispatch(key: string): boolean {
  for (let at = handlers.length - 1; at >= 0; at -= 1) if (handlers[at]!(key)) return true;
  const base = workspaces.current ? `/workspaces/${workspaces.current}` : undefined;
  const pages: Record<string, string | undefined> = {
    gr: base && `${base}/runs`, gb: base && `${base}/builds`, ge: base && `${base}/executions`,
    gc: base && `${base}/configurations`, go: base && `${base}/costs`, gw: "/workspaces", gs: "/system",
  };
  if (pages[key]) {
    location.go(pages[key]);
    return true;
  }
  switch (key) {
    case "/": {
      const field = document.querySelector<HTMLInputElement>("[data-search]");
      field?.focus();
      field?.select();
      return !!field;
    }
    case "?":
      help.isOpen = true;
      return true;
    case "t":
      theme.next();
      return true;
    default:
      return false;
  }
}
