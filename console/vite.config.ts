import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// The same sources always make the same files: names have digests of their content, and nothing has a time in it.
const names = {
  hashCharacters: "hex" as const,
  entryFileNames: "assets/[name]-[hash].js",
  chunkFileNames: "assets/[name]-[hash].js",
  assetFileNames: "assets/[name]-[hash][extname]",
};
const service = process.env.ADE_URL ?? "http://127.0.0.1:8000";

// `@ade/client` is compiled in from its sources, so that neither needs to be built before the other.
const client = fileURLToPath(new URL("../clients/typescript/src/index.ts", import.meta.url));
const parser = fileURLToPath(new URL("node_modules/eventsource-parser", import.meta.url));

export default defineConfig({
  resolve: { alias: { "@ade/client": client, "eventsource-parser": parser } },
  plugins: [svelte()],
  build: {
    target: "es2022",
    // A file of its own for everything: `data:` is not in the console's content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { output: names },
  },
  worker: { format: "es", rolldownOptions: { output: names } },
  server: { proxy: { "/api": service, "/health": service, "/metrics": service } },
});
