// Numbers, times and names as people read them.

const count = new Intl.NumberFormat("en");
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const timeOnly = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat(undefined, {
  dateStyle: "full", timeStyle: "long",
});

export const number = (value: number | null | undefined): string => (value == null ? "–" : count.format(value));

export function bytes(value: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function duration(ms: number | null | undefined): string {
  if (ms == null) return "–";
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${String(Math.floor(seconds % 60)).padStart(2, "0")}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}h ${String(minutes % 60).padStart(2, "0")}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** How long ago, in one word or two. */
export function ago(time: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 86400 * 7) return `${Math.floor(seconds / 86400)} d ago`;
  return dateTime.format(new Date(time));
}

export const clock = (time: string): string => timeOnly.format(new Date(time));
export const exactTime = (time: string): string => `${exact.format(new Date(time))}\n${time}`;

/** Money is a decimal text, and stays one: it is never rounded through a float. */
export function money(usd: string | null | undefined): string {
  if (usd == null) return "–";
  const [whole = "0", fraction = ""] = usd.split(".");
  const shown = fraction.replace(/0+$/, "").padEnd(2, "0");
  return `$${count.format(BigInt(whole || "0"))}.${shown}`;
}

const WORDS: Record<string, string> = {
  waiting_clarification: "needs answers", waiting_acceptance: "needs a decision", validate_only: "validate only",
  dry_run: "dry run",
};
export const words = (name: string): string => WORDS[name] ?? name.replaceAll("_", " ");

/** The end of an id, which is enough for people to tell two apart. */
export function shortId(id: string): string {
  const [kind, rest = ""] = id.split("_");
  return `${kind}_…${rest.slice(-6)}`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${number(n)} ${n === 1 ? one : many}`;
}

/** Of a share between 0 and 1. */
export function percent(share: number | null | undefined): string {
  return share == null ? "–" : `${(share * 100).toFixed(1)} %`;
}
