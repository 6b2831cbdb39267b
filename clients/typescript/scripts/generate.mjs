// Writes src/schema.ts: the types of what the service takes and answers, from its OpenAPI document.
//
//   node scripts/generate.mjs <openapi.json> [--check]
//
// The console, whose types these are too, runs it with the generator of its own packages.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const { default: openapiTS, astToString } = createRequire(join(process.cwd(), "package.json"))("openapi-typescript");

const HEAD = "// Written by scripts/generate.mjs from docs/openapi.json; changes belong there.\n\n";
const target = fileURLToPath(new URL("../src/schema.ts", import.meta.url));
/** Of what is no list that others are like. */
const PAGES = ["ConsolePage", "AuditPage"];
const [source, check] = process.argv.slice(2);

/** Only the shapes of resources and payloads: no paths, no errors (they are `ProblemError`), no parameters or pages of lists. */
function pruned(document) {
  const { schemas } = document.components;
  const kept = Object.entries(schemas).filter(([name]) => !/Problem$|_filters$|^Event$|Page$|Slice$/.test(name));
  const pages = Object.entries(schemas).filter(([name]) => PAGES.includes(name));
  return { ...document, paths: {}, components: { schemas: Object.fromEntries([...kept, ...pages]) } };
}

const document = pruned(JSON.parse(readFileSync(source, "utf8")));
const tree = await openapiTS(document, { rootTypes: true, rootTypesNoSchemaPrefix: true, emptyObjectsUnknown: true });
const text = HEAD + astToString(tree);
if (check === "--check") {
  if (readFileSync(target, "utf8") !== text) {
    console.error("src/schema.ts is not what docs/openapi.json says: npm run generate");
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
