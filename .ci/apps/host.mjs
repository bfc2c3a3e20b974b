// The host's page: shows the hub's view in a frame with the official host library, and plays a user who looks and
// clicks. What it finds goes to /outcome; run.mjs serves it and carries calls to the hub.

import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

// What a host must apply to a page that asks for nothing: no network at all, not even for pictures.
const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; media-src data:; connect-src 'none'";
const LIMIT_MS = 30_000;

const carry = async (method, params) => {
  const answer = await fetch("/carry", { method: "POST", body: JSON.stringify({ method, params }) });
  const { result, error } = await answer.json();
  if (error) throw new Error(error);
  return result;
};
const check = (condition, said) => {
  if (!condition) throw new Error(said);
};
const until = async (what, holds) => {
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await new Promise((next) => setTimeout(next, 20))) {
    const found = await holds();
    if (found) return found;
  }
  throw new Error(`not in time: ${what}: ${frame.contentDocument?.body?.innerText ?? ""}`);
};

const frame = document.createElement("iframe");
// One origin with the host, so that this page can look inside; the policy is a real host's.
frame.sandbox = "allow-scripts allow-same-origin";
const problems = [];
const calls = [];
const said = [];
const context = [];
let size = null;

async function play() {
  const { page, meta, input, result, job } = await (await fetch("/scene")).json();
  check(!meta?.ui?.csp, "the view needs no network");
  const bridge = new AppBridge(
    null,
    { name: "check", version: "1" },
    { serverTools: {}, serverResources: {}, message: { text: {} }, updateModelContext: { text: {} } },
    { hostContext: { theme: "dark", styles: { variables: { "--color-text-primary": "rgb(1, 2, 3)" } } } },
  );
  bridge.oncalltool = async (params) => {
    calls.push(params);
    return carry("tools/call", params);
  };
  bridge.onreadresource = (params) => carry("resources/read", params);
  bridge.onmessage = async (params) => {
    said.push(params);
    return {};
  };
  bridge.onupdatemodelcontext = async (params) => {
    context.push(params);
    return {};
  };
  bridge.onsizechange = (params) => { size = params; };
  const ready = new Promise((resolve) => { bridge.oninitialized = resolve; });

  document.body.append(frame);
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  const policy = `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`;
  const watch = `<script>
    addEventListener("securitypolicyviolation", (event) => parent.problems.push("blocked: " + event.violatedDirective + " " + event.blockedURI));
    addEventListener("error", (event) => parent.problems.push("error: " + event.message));
    addEventListener("unhandledrejection", (event) => parent.problems.push("rejected: " + event.reason));
  </script>`;
  window.problems = problems;
  frame.srcdoc = page.replace('<meta charset="utf-8">', `<meta charset="utf-8">${policy}${watch}`);
  await Promise.race([ready, new Promise((_, late) => setTimeout(() => late(new Error("no handshake")), LIMIT_MS))]);
  check(bridge.getAppVersion()?.name === "genimage-hub-view", JSON.stringify(bridge.getAppVersion()));

  const view = () => frame.contentDocument;
  const cards = () => [...view().querySelectorAll("article")];
  const press = (label, within = cards()[0]) => {
    const button = [...within.querySelectorAll("button")].find((one) => one.textContent === label);
    check(button, `no button ${label}`);
    button.click();
  };
  const shown = (image) => image && image.complete && image.naturalWidth > 0;

  await bridge.sendToolInput({ arguments: input });
  await bridge.sendToolResult(result);
  const record = result._meta["io.genimage/result"];
  await until("the picture of the result", () => shown(view().querySelector("article img")));
  check(view().body.innerText.includes(`seed ${record.images[0].seed}`), "the seed is told");
  check(frame.contentWindow.getComputedStyle(view().body).color === "rgb(1, 2, 3)", "the host's colours are used");
  const dark = frame.contentWindow.getComputedStyle(view().documentElement).colorScheme;
  check(dark === "dark", `the host's theme is used, not ${dark}`);
  bridge.setHostContext({ theme: "light", styles: { variables: { "--color-text-primary": "rgb(1, 2, 3)" } } });
  await until("the light theme", () => frame.contentWindow.getComputedStyle(view().documentElement).colorScheme === "light");
  await until("its size", () => size?.height > 50);

  press("Vary");
  await until("the variation", () => cards().length === 2 && shown(cards()[0].querySelector("img")));
  const { name, arguments: varied } = calls[0];
  check(name === "generate_image" && varied.prompt === input.prompt, JSON.stringify(calls[0]));
  check(varied.seed !== record.images[0].seed && varied.render_type === record.render_type, JSON.stringify(varied));
  await until("the model's context", () => context.length === 1 && context[0].content[0].text.includes("img_"));

  press("Upscale", cards()[1]);
  await until("the larger picture", () => cards().length === 3 && shown(cards()[0].querySelector("img")));
  check(calls[1].name === "upscale_image" && calls[1].arguments.image === record.images[0].id, JSON.stringify(calls[1]));

  press("Use seed", cards()[2]);
  await until("the message", () => said.length === 1);
  check(said[0].content[0].text.includes(String(record.images[0].seed)), JSON.stringify(said));

  cards()[2].querySelector(".open").click();
  await until("the picture in full size", () => {
    const large = view().querySelector("dialog[open] img");
    return shown(large) && large.naturalWidth === record.images[0].width;
  });
  view().querySelector("dialog").close();

  view().querySelector("#more").click();
  const thumbs = () => [...view().querySelectorAll("#gallery img")];
  await until("the gallery", () => thumbs().length >= 3 && thumbs().every(shown));
  view().querySelector("#gallery button").click();
  await until("a picture of the gallery", () => cards().length === 4 && shown(cards()[0].querySelector("img")));

  await bridge.sendToolResult(job);
  await until("the job's end", () => cards().length === 5 && !view().querySelector("progress") && shown(cards()[0].querySelector("img")));
  check(calls.at(-1).name === "get_job", JSON.stringify(calls.at(-1)));

  await bridge.sendToolResult({ content: [{ type: "text", text: "Nope <b>x</b>." }], isError: true });
  await until("the error", () => view().body.innerText.includes("Nope <b>x</b>."));
  await bridge.teardownResource({});
  check(problems.length === 0, problems.join("; "));
  return "handshake, theme, picture, vary, upscale, use seed, full size, gallery, running job, error";
}

play().then((done) => ({ done }), (error) => ({ failed: String(error?.stack ?? error), problems, calls }))
  .then((outcome) => fetch("/outcome", { method: "POST", body: JSON.stringify(outcome) }));
