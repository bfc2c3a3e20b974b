// Drives a hub with the official TypeScript MCP clients: the first generation, and the second in both
// protocol eras.
//
// usage: typescript_client.mjs URL-of-/mcp FOLDER-with-node_modules     the hub must have servers

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [url, folder] = process.argv.slice(2);
const from = createRequire(path.resolve(folder, "package.json"));
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const first = await load("@modelcontextprotocol/sdk/client/index.js");
const firstHttp = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const second = await load("@modelcontextprotocol/client");

function check(condition, said) {
  if (!condition) throw new Error(typeof said === "string" ? said : JSON.stringify(said));
}

async function walk(label, client, transport, call) {
  await client.connect(transport);
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  for (const name of ["generate_image", "get_job", "cancel_job", "list_options"]) {
    check(tools.includes(name), `${name} is not listed: ${tools}`);
  }
  const steps = [];
  const onprogress = (progress) => steps.push(progress.progress);
  const seed = Date.now();
  const result = await call({ name: "generate_image", arguments: { prompt: "a red fox", seed } }, { onprogress });
  check(!result.isError, result.content);
  const kinds = result.content.map((block) => block.type);
  check(kinds[0] === "text" && kinds.includes("image") && kinds.includes("resource_link"), kinds);
  check(result.content[0].text.includes(String(seed)), result.content[0].text);
  const picture = result.content.find((block) => block.type === "image");
  check(Buffer.from(picture.data, "base64").length > 1000, "the preview is empty");
  check(steps.length >= 2 && steps.every((step, at) => at === 0 || step > steps[at - 1]), `progress must rise: ${steps}`);
  const link = result.content.find((block) => block.type === "resource_link");
  const read = await client.readResource({ uri: link.uri });
  check(Buffer.from(read.contents[0].blob, "base64").length > 1000, "the resource is empty");

  const wrong = await call({ name: "generate_image", arguments: { prompt: "x", aspect_ratio: "5:1" } }, {});
  check(wrong.isError && wrong.content[0].text.includes("21:9"), wrong.content);
  await client.close();
  console.log(`${label}: list, generate with ${steps.length} progress messages, resource, error: ok`);
}

const about = { name: "check", version: "1" };
{
  const client = new first.Client(about);
  const transport = new firstHttp.StreamableHTTPClientTransport(new URL(url));
  await walk("first generation", client, transport, (params, options) => client.callTool(params, undefined, options));
}
for (const mode of ["legacy", "auto"]) {
  const client = new second.Client(about, { versionNegotiation: { mode } });
  const transport = new second.StreamableHTTPClientTransport(new URL(url));
  await walk(`second generation, ${mode}`, client, transport, (params, options) => client.callTool(params, options));
}
