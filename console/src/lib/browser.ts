// What browsers leave out on pages that came without TLS, from which a service of one's own may well be used.

/** 128 random bits; `crypto.randomUUID` is missing there. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function copy(text: string): Promise<void> {
  const clipboard = navigator.clipboard as Clipboard | undefined;
  if (!clipboard) throw new Error("Browsers let a page copy only when it came by TLS.");
  await clipboard.writeText(text);
}
