// Shows the hub's MCP Apps view in headless Chromium, hosted by the official host library (ext-apps), with a real
// client of the extension behind it.
//
// usage: run.mjs URL-of-/mcp FOLDER-with-node_modules     the hub must have servers

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const LIMIT_MS = 120_000;
const [url, folder] = process.argv.slice(2);
const here = path.dirname(fileURLToPath(import.meta.url));
const modules = path.resolve(folder, "node_modules");
const from = createRequire(path.resolve(folder, "package.json"));
const load = (name) => import(pathToFileURL(from.resolve(name)).href);
const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
const esbuild = await load("esbuild");

const built = await esbuild.build({
  entryPoints: [path.join(here, "host.mjs")], bundle: true, format: "esm", write: false, nodePaths: [modules], logLevel: "error",
});
const script = built.outputFiles[0].text;

const mimeTypes = ["text/html;profile=mcp-app"];
const client = new Client(
  { name: "check", version: "1" },
  { capabilities: { extensions: { "io.modelcontextprotocol/ui": { mimeTypes } } }, versionNegotiation: { mode: "auto" } },
);
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const tool = (await client.listTools()).tools.find((one) => one.name === "generate_image");
const uri = tool?._meta?.ui?.resourceUri;
if (!uri?.startsWith("ui://")) throw new Error(`no view is linked: ${JSON.stringify(tool?._meta)}`);
const [page] = (await client.readResource({ uri })).contents;
if (page.mimeType !== mimeTypes[0]) throw new Error(`the view is ${page.mimeType}`);
const input = { prompt: "a red fox <in> a frame", enhance: false, seed: Date.now() };
const result = await client.callTool({ name: "generate_image", arguments: input });
if (result.isError) throw new Error(JSON.stringify(result.content));
const job = await client.callTool({ name: "generate_image", arguments: { prompt: "a slow fox", wait_s: 0, seed: Date.now() + 1 } });
const scene = { page: page.text, meta: page._meta, input, result, job };

const work = mkdtempSync(path.join(tmpdir(), "apps-"));
let chromium;
const outcome = await new Promise((resolve) => {
  const carry = async ({ method, params }) =>
    method === "tools/call" ? client.callTool(params) : client.readResource(params);
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const json = (value) => response.setHeader("content-type", "application/json").end(JSON.stringify(value));
    if (request.url === "/") {
      response.setHeader("content-type", "text/html").end('<!doctype html><body><script type="module" src="/host.js"></script>');
    } else if (request.url === "/host.js") {
      response.setHeader("content-type", "text/javascript").end(script);
    } else if (request.url === "/scene") {
      json(scene);
    } else if (request.url === "/carry") {
      carry(JSON.parse(body)).then((done) => json({ result: done }), (error) => json({ error: String(error) }));
    } else if (request.url === "/outcome") {
      json({});
      resolve(JSON.parse(body));
    } else {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1", () => {
    const address = `http://127.0.0.1:${server.address().port}/`;
    chromium = spawn("chromium", [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
      "--disable-sync", "--no-first-run", `--user-data-dir=${work}`, "--remote-debugging-port=0", address,
    ], { stdio: "ignore", detached: true });
    chromium.on("exit", (code) => resolve({ failed: `the browser ended with ${code}` }));
  });
  setTimeout(() => resolve({ failed: "the page said nothing in time" }), LIMIT_MS).unref();
});
// The browser is several processes; they are one group.
const ended = new Promise((resolve) => { chromium.on("exit", resolve); });
if (chromium.exitCode === null) process.kill(-chromium.pid, "SIGKILL"), await ended;
rmSync(work, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
if (!outcome.done) {
  console.error(outcome);
  process.exit(1);
}
console.log(`apps view in its host: ${outcome.done}: ok`);
process.exit(0);
