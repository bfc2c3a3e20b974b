// Drives a hub with the inspector's command line, as a person at a terminal would.
//
// usage: inspector.mjs URL-of-/mcp FOLDER-with-node_modules     the hub must have servers

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

/* Jobs that keep the servers busy while the program starts. */
const WAITING = 16;
const run = promisify(execFile);
const [url, folder] = process.argv.slice(2);
const program = path.resolve(folder, "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js");

function check(condition, said) {
  if (!condition) throw new Error(typeof said === "string" ? said : JSON.stringify(said));
}

async function inspect(...args) {
  // A tool's own error is exit code 5 or so, with the result on standard output all the same.
  const { stdout } = await run(process.execPath, [program, "--cli", url, "--transport", "http", ...args], {
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error) => (error.stdout ? error : Promise.reject(error)));
  return JSON.parse(stdout);
}
const call = (tool, args) =>
  inspect("--method", "tools/call", "--tool-name", tool,
    ...Object.entries(args).flatMap(([name, value]) => ["--tool-arg", `${name}=${JSON.stringify(value)}`]));
const record = (result, key = "result") => result._meta[`io.genimage/${key}`];
const shows = (result) => result.content.some((block) => block.type === "image");

const { tools } = await inspect("--method", "tools/list", "--strict");
check(tools.some((tool) => tool.name === "generate_image"), tools);
const app = await inspect("--method", "tools/call", "--tool-name", "generate_image", "--app-info", "--advertise-apps");
check(JSON.stringify(app).includes("ui://genimage/view.html"), app);

const seed = Date.now();
const made = await call("generate_image", { prompt: "a red fox", seed, enhance: false });
check(!made.isError && shows(made), made.content);
const image = record(made).images[0].id;
const handle = await call("generate_image", { prompt: "a slow fox", seed, enhance: false, wait_s: 0 });
const [later, larger, described] = await Promise.all([
  call("get_job", { job_id: record(handle).job, wait_s: 50 }),
  call("upscale_image", { image, wait_s: 50 }),
  call("describe_image", { image }),
]);
check(shows(later) && shows(larger), [later.content.length, larger.content.length]);
check(described.content[0].text.length > 10, described.content);
const wrong = { prompt: "x", seed, enhance: false, styles: ["photo-makro"] };
const refused = await call("generate_image", wrong);
check(refused.isError, refused.content);
const near = /Did you mean `([^`]+)`/.exec(refused.content[0].text)[1];
check(shows(await call("generate_image", { ...wrong, styles: [near] })), "the mended call makes no picture");

// Starting the program takes longer than a picture: so several are asked for, and the last one is cancelled.
const plain = async (name, args) => {
  const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } };
  return (await (await fetch(url, { method: "POST", body: JSON.stringify(body) })).json()).result;
};
const queued = [];
for (let at = 0; at < WAITING; at += 1) {
  const handle = await plain("generate_image", { prompt: "nobody waits for this", seed: seed + at, enhance: false, wait_s: 0 });
  queued.push(record(handle).job);
}
const gone = await call("cancel_job", { job_id: queued.pop() });
await Promise.all(queued.map((job) => plain("cancel_job", { job_id: job })));
check(record(gone).status === "cancelled", gone.content);
console.log("inspector: list without a schema problem, view, generate, handle, upscale, describe, mended call, cancel: ok");
