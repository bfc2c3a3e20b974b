// Runs axe-core over every page of a demo hub, in both colours, at desktop and phone width, with what is folded up folded up
// and opened, and with the question asked that comes before something is lost. Fails on a serious or critical finding, on an
// error in the console and on a page that is wider than its window. With script as people have it; the tests in
// genimage/tests/it/browser.rs open the pages without, too.
//
// The pages are those that PAGES names, those given beside it, one of each kind that links lead to, and what comes after a
// form (states.mjs); on a second hub that has a key and no account, the way in, and jobs on a server of faults.toml. A line
// like:/servers/srv in PAGES says that the links must lead to a page of this kind. SCREENSHOTS names a folder for pictures of
// all of them; with AXE_PAGE only pages whose name has that in it are looked at.
// usage: axe.mjs HUB-URL CLOSED-HUB-URL SETUP-TOKEN SERVER-URL NODE-MODULES-FOLDER PAGES [PATH…]
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OPEN, closed } from "./states.mjs";

const [open, closedHub, token, server, folder, list, ...more] = process.argv.slice(2);
const require = createRequire(join(folder, "node_modules", "x.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const shots = process.env.SCREENSHOTS;
if (shots) mkdirSync(shots, { recursive: true });

const PATIENCE_MS = 20000;
// Those of pages that are faults on purpose.
const EXPECTED = /the server responded with a status of 4\d\d/;
// What leads to a file or an answer for programs.
const NOT_PAGES = ["/assets/", "/api/", "/outputs/", "/thumbs/"];

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
});
const page = await browser.newPage();
// The pages forbid scripts that are not theirs; the test's own is let in.
await page.setBypassCSP(true);
const complaints = new Set();
let about = "";
let looked = 0;
page.on("console", (message) => {
  if (message.type() === "error" && !EXPECTED.test(message.text())) complaints.add(`${about}: ${message.text()}`);
});
page.on("pageerror", (error) => complaints.add(`${about}: ${error.message}`));
// A form that was begun asks before it is left.
page.on("dialog", (dialog) => dialog.accept());

// Live pages never fall silent on the network.
const go = (hub, path) => page.goto(hub + path, { waitUntil: "domcontentloaded" });

// A path with what varies taken out, as `places.rs` in hub-web/tests has it.
const kindOf = (address) => {
  const [path, query = ""] = address.split("?");
  const parts = path.split("/").map((part) => part.replace(/^([a-z]+)_[0-9a-f]{32}$/, "$1")).join("/");
  const tool = path === "/playground" && query.split("&").find((pair) => pair.startsWith("tool="));
  return tool ? `${parts}?${tool}` : parts;
};

// What axe finds now, within all of the page or a part of it.
const inspect = async (name, within = "html") => {
  about = name;
  const { violations } = await page.evaluate((within) => window.axe.run(within, { resultTypes: ["violations"] }), within);
  for (const found of violations.filter(({ impact }) => impact === "serious" || impact === "critical")) {
    const places = found.nodes.map(({ target, failureSummary }) => `${target} (${failureSummary?.split("\n").at(-1)?.trim()})`);
    complaints.add(`${name}: ${found.id} (${found.impact}): ${places.slice(0, 5).join(" | ")}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  if (wide > 0) complaints.add(`${name}: ${wide} px wider than the window`);
  if (shots) await page.screenshot({ path: join(shots, `${name.replaceAll(/[^a-z0-9]+/g, "-")}.png`), fullPage: true });
};

// Opens or closes all that opens in its place; answers how many there are.
const fold = (opened) => page.$$eval("details:not(.confirm:has(> form))", (all, opened) => {
  for (const one of all) {
    one.dataset.wasOpen ??= one.open;
    one.open = opened || one.dataset.wasOpen === "true";
  }
  return all.length;
}, opened);

// The question that the page asks before something is lost, the first if there are several: in its dialog.
const question = async (name) => {
  const summary = await page.$("details.confirm:has(> form) > summary");
  if (!summary) return;
  await summary.evaluate((element) => element.click());
  await page.waitForSelector("dialog[open]", { timeout: PATIENCE_MS });
  await inspect(`${name}, asked`, "dialog[open]");
  await page.$eval("dialog[open]", (dialog) => dialog.close());
  await page.waitForFunction(() => !document.querySelector("dialog"), { timeout: PATIENCE_MS });
};

// The page that is there, in all shapes.
const look = async (name) => {
  if (!name.includes(process.env.AXE_PAGE ?? "")) return;
  looked += 1;
  about = name;
  const begun = Date.now();
  await page.evaluate(axe);
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    for (const theme of ["light", "dark"]) {
      await page.setViewport({ width, height });
      await page.emulateMediaFeatures([
        { name: "prefers-color-scheme", value: theme },
        // What moves is measured where it comes to rest.
        { name: "prefers-reduced-motion", value: "reduce" },
      ]);
      await page.evaluate(() => document.fonts.ready);
      await inspect(`${name} ${width} px ${theme}`);
      // Each colour and each width once.
      if ((width > 1000) !== (theme === "light")) continue;
      if (await fold(true)) {
        await inspect(`${name} ${width} px ${theme}, opened`);
        await fold(false);
      }
      await question(`${name} ${width} px ${theme}`);
    }
  }
  console.log(`${String(Date.now() - begun).padStart(6)} ms  ${name}`);
};

const links = async () => {
  const found = await page.$$eval("a[href]", (all) => all.map((link) => link.getAttribute("href").split("#")[0]));
  return found.filter((href) => href.startsWith("/") && !NOT_PAGES.some((other) => href.startsWith(other)));
};

// Every page that is named, and one of each other kind that is linked.
const walk = async (named) => {
  const kinds = new Set();
  const ahead = named.filter((path) => !path.startsWith("like:"));
  const first = new Set(ahead);
  for (const [at, path] of ahead.entries()) {
    const kind = kindOf(path);
    if (at >= first.size && (first.has(path) || kinds.has(kind))) continue;
    kinds.add(kind);
    about = path;
    // What is saved as a file is no page.
    const answer = await go(open, path).catch((error) => { if (!/ERR_ABORTED/.test(error.message)) throw error; });
    if (!answer?.headers()["content-type"]?.startsWith("text/html")) continue;
    if (answer.status() >= (first.has(path) ? 500 : 400)) complaints.add(`${path} is linked and answers ${answer.status()}`);
    const next = await links();
    await look(first.has(path) ? path.replaceAll(/_[0-9a-f]{32}/g, "") : kind);
    ahead.push(...next);
  }
  for (const like of named.filter((path) => path.startsWith("like:")).map((path) => path.slice("like:".length))) {
    if (!kinds.has(like)) complaints.add(`no link leads to ${like}: ${[...kinds].join(" ")}`);
  }
};

const type = (typed = {}) => page.evaluate((typed) => {
  for (const [name, value] of Object.entries(typed)) {
    const field = document.querySelector(name.startsWith("#") ? name : `main [name="${name}"]`);
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}, typed);

// Text as files, each in its field as if it was chosen there.
const give = (files = {}) => page.evaluate((files) => {
  for (const [field, [name, text]] of Object.entries(files)) {
    const chosen = new DataTransfer();
    chosen.items.add(new File([text], name));
    document.querySelector(field).files = chosen.files;
  }
}, files);

// Past what the browser itself would refuse.
const click = (button) => page.$eval(button, (element) => {
  if (element.form) element.form.noValidate = true;
  // A link in a drawing has no method for it.
  if (element.click) element.click();
  else element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
});

// Presses what leads to another page.
const press = (button) => {
  const leaves = page.waitForNavigation({ waitUntil: "domcontentloaded", timeout: PATIENCE_MS });
  return Promise.all([leaves, click(button)]);
};

// The browser is logged in nowhere any more.
const forgetLogin = async () => {
  const session = await page.createCDPSession();
  await session.send("Network.clearBrowserCookies");
  await session.detach();
};

// A page that follows what happens does so from when its stream answers.
const followed = () => page.waitForResponse(
  (answer) => answer.headers()["content-type"]?.startsWith("text/event-stream") ?? false,
  { timeout: PATIENCE_MS },
);

// From where a state begins to the page that is meant; answers what takes back what was done beside it.
const reach = async (hub, { at, chosen, given, typed, tap, press: button, then, forget, last, meanwhile, has }) => {
  await Promise.all([go(hub, at), meanwhile && followed()]);
  const takeBack = await meanwhile?.(hub);
  if (chosen) await page.$eval(chosen, (box) => box.click());
  await give(given);
  await type(typed);
  if (tap) await click(tap);
  if (button) await press(button);
  await type(then);
  if (forget) await forgetLogin();
  if (last) await press(last);
  await page.waitForSelector(has, { timeout: PATIENCE_MS });
  return takeBack;
};

// What comes after forms.
const act = async (hub, states) => {
  for (const state of states) {
    about = state.name;
    try {
      const takeBack = await reach(hub, state);
      await look(state.name);
      await takeBack?.();
    } catch (error) {
      complaints.add(`${state.name}: ${error.message}, at ${page.url()}`);
    }
  }
};

const named = readFileSync(list, "utf8").split("\n").filter((line) => line !== "");
await walk([...named, ...more]);
await act(open, OPEN);
await act(closedHub, closed(token, "correct horse battery", server));
await browser.close();
for (const complaint of complaints) console.error(complaint);
console.log(`axe: ${looked} pages, 2 widths, 2 colours, folded up, opened and asked, ${complaints.size} complaints`);
process.exit(complaints.size === 0 ? 0 : 1);
