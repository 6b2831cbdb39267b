// The client of this repository, in Node and in Deno.
//
//   node ade.mjs <url> [stay] [sse | poll]

import { AdeClient } from "../../../clients/typescript/dist/index.js";
import { received, stopped, url } from "./report.mjs";

const { origin, pathname, searchParams } = new URL(url);
const client = new AdeClient({ url: origin });
const several = searchParams.getAll("stream");

if (several.length === 0) {
  const stream = pathname.split("/")[4];
  for await (const { id, data } of client.follow(stream, { transport: process.argv[4] ?? "sse" }).lines()) received(id, data);
} else {
  const connection = client.connection();
  const positions = Object.fromEntries(several.map((stream) => [stream, 0]));
  const follow = async (stream) => {
    for await (const { sequence, data } of connection.follow(stream).lines()) {
      positions[stream] = sequence;
      received(Object.entries(positions).map((pair) => pair.join(":")).join(","), data);
    }
  };
  await Promise.all(several.map(follow));
}
stopped("ended");
