// Drives a hub with the official TypeScript MCP clients: the first generation, and the second in both
// protocol eras.
//
// usage: typescript_client.mjs URL-of-/mcp FOLDER-with-node_modules     the hub must have servers

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const LIMIT_MS = 60_000;
const [url, folder] = process.argv.slice(2);
const from = createRequire(path.resolve(folder, "package.json"));
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const first = await load("@modelcontextprotocol/sdk/client/index.js");
const firstHttp = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const second = await load("@modelcontextprotocol/client");

function check(condition, said) {
  if (!condition) throw new Error(typeof said === "string" ? said : JSON.stringify(said));
}
const record = (result, key = "result") => result._meta[`io.genimage/${key}`];
const pictures = (result) => result.content.filter((block) => block.type === "image");

// What a caller can do that knows nothing but the error.
function mend(args, result) {
  const { argument, valid_values: valid } = record(result, "error");
  const value = /Did you mean `([^`]+)`/.exec(result.content[0].text)?.[1] ?? valid[0];
  return { ...args, [argument]: Array.isArray(args[argument]) ? [value] : value };
}

async function cancelled(call, seed, key) {
  const stop = new AbortController();
  const args = { prompt: "nobody waits for this", enhance: false, seed, idempotency_key: key };
  const open = call("generate_image", args, { signal: stop.signal, onprogress: () => stop.abort("enough") });
  check(await open.then(() => false, () => true), "a cancelled call was answered");
  // The same key finds the same job, and what became of it.
  for (const end = Date.now() + LIMIT_MS; ; await new Promise((next) => setTimeout(next, 50))) {
    const found = await call("generate_image", { ...args, wait_s: 0 });
    if (found.isError && record(found, "error").code === "cancelled") return;
    check(Date.now() < end && record(found).status === "running", found.content[0]);
  }
}

async function walk(label, client, transport, callTool, seed) {
  await client.connect(transport);
  const call = (name, args, options = {}) => callTool({ name, arguments: args }, options);
  const tools = (await client.listTools()).tools.map((tool) => tool.name);
  for (const name of ["generate_image", "get_job", "cancel_job", "list_options"]) {
    check(tools.includes(name), `${name} is not listed: ${tools}`);
  }
  const steps = [];
  const onprogress = (progress) => steps.push(progress.progress);
  const result = await call("generate_image", { prompt: "a red fox", seed, enhance: false }, { onprogress });
  check(!result.isError, result.content);
  const kinds = result.content.map((block) => block.type);
  check(kinds[0] === "text" && kinds.includes("image") && kinds.includes("resource_link"), kinds);
  check(result.content[0].text.includes(String(seed)), result.content[0].text);
  check(Buffer.from(pictures(result)[0].data, "base64").length > 1000, "the preview is empty");
  check(steps.length >= 2 && steps.every((step, at) => at === 0 || step > steps[at - 1]), `progress must rise: ${steps}`);
  const link = result.content.find((block) => block.type === "resource_link");
  const read = await client.readResource({ uri: link.uri });
  check(Buffer.from(read.contents[0].blob, "base64").length > 1000, "the resource is empty");

  const handle = await call("generate_image", { prompt: "a slow fox", seed, enhance: false, wait_s: 0 });
  check(record(handle).status === "running" && handle.content[0].text.includes(record(handle).job), handle.content);
  const later = await call("get_job", { job_id: record(handle).job, wait_s: 50 });
  check(pictures(later).length === 1, later.content);
  const image = record(later).images[0].id;
  check(pictures(await call("upscale_image", { image, wait_s: 50 })).length === 1, "no larger picture");
  const described = await call("describe_image", { image });
  check(!described.isError && described.content[0].text.length > 10, described.content);

  for (const wrong of [{ styles: ["photo-makro"] }, { aspect_ratio: "5:1" }]) {
    const args = { prompt: "x", enhance: false, seed: seed + 1, ...wrong };
    const refused = await call("generate_image", args);
    check(refused.isError, refused.content);
    const mended = await call("generate_image", mend(args, refused));
    check(!mended.isError, mended.content);
  }
  await cancelled(call, seed, `cancel ${label} ${seed}`);
  await client.close();
  console.log(`typescript, ${label}: list, generate with ${steps.length} progress messages, resource, handle, upscale, describe, mended call, cancel: ok`);
}

const about = { name: "check", version: "1" };
const seed = Date.now() * 10;
const walks = [];
{
  const client = new first.Client(about);
  const transport = new firstHttp.StreamableHTTPClientTransport(new URL(url));
  walks.push(walk("first generation", client, transport, (params, options) => client.callTool(params, undefined, options), seed));
}
for (const [at, mode] of ["legacy", "auto"].entries()) {
  const client = new second.Client(about, { versionNegotiation: { mode } });
  const transport = new second.StreamableHTTPClientTransport(new URL(url));
  const callTool = (params, options) => client.callTool(params, options);
  walks.push(walk(`second generation, ${mode}`, client, transport, callTool, seed + 2 * (at + 1)));
}
await Promise.all(walks);
