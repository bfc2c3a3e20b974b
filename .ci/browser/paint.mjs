// How long pages take to their first paint, beside a page that says one word: what a browser does with the same machine and
// nothing to draw. Each page is opened several times, turn by turn with the empty one, once with nothing kept from before
// (a first visit) and once from another page of the hub. Of the times of a page the middle one counts; what the hub took to
// answer is told beside it. With MOST_RATIO it fails when a page takes more than so many times as long as the empty one,
// which is as slow as the machine.
// usage: paint.mjs HUB-URL NODE-MODULES-FOLDER PATH…
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { join } from "node:path";

const [hub, folder, ...paths] = process.argv.slice(2);
const require = createRequire(join(folder, "node_modules", "x.js"));
const puppeteer = require("puppeteer-core");
const ROUNDS = Number(process.env.ROUNDS ?? 7);
const PATIENCE_MS = 20000;

const empty = createServer((_, answer) => {
  answer.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  answer.end("<!doctype html><html lang=en><title>Empty</title><p>Empty");
});
await new Promise((done) => empty.listen(0, "127.0.0.1", done));
const emptyUrl = `http://127.0.0.1:${empty.address().port}/`;

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});

// Milliseconds from the navigation's begin to its first paint, and to the first byte of the answer.
const paint = async (page, url) => {
  const answer = await page.goto(url, { waitUntil: "domcontentloaded", timeout: PATIENCE_MS });
  if (!answer.ok()) throw new Error(`${url} answers ${answer.status()}`);
  return page.evaluate((patience) => new Promise((tell, fail) => {
    setTimeout(() => fail(new Error("it paints nothing")), patience);
    const told = ({ startTime }) => tell({
      painted: startTime,
      answered: performance.getEntriesByType("navigation")[0].responseStart,
    });
    new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach(told))
      .observe({ type: "paint", buffered: true });
  }), PATIENCE_MS);
};

// In one window that is at rest: a new one has the browser build its own bars beside the page.
const window = await browser.newPage();
await window.setBypassCSP(true);
const session = await window.createCDPSession();
const visit = async (url, kept) => {
  if (kept) await paint(window, new URL("/connect?from", url).href);
  else {
    await session.send("Network.clearBrowserCache");
    await window.goto("about:blank");
  }
  return paint(window, url);
};

const middle = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const most = Number(process.env.MOST_RATIO ?? Infinity);
let slow = 0;
for (const url of [emptyUrl, ...paths.map((path) => hub + path)]) {
  await visit(url, true);
  await window.waitForNetworkIdle({ idleTime: 500, concurrency: 1, timeout: PATIENCE_MS });
}
for (const kept of [false, true]) {
  console.log(kept ? "from another page" : "a first visit");
  for (const path of paths) {
    const [own, others] = [[], []];
    for (let round = 0; round < ROUNDS; round += 1) {
      own.push(await visit(hub + path, kept));
      others.push(await visit(emptyUrl, kept));
    }
    const painted = middle(own.map((times) => times.painted));
    const answered = middle(own.map((times) => times.answered));
    const base = middle(others.map((times) => times.painted));
    const tooSlow = painted > most * base;
    slow += tooSlow;
    console.log(
      `${painted.toFixed(0).padStart(6)} ms, of which the answer ${answered.toFixed(0)} ms; an empty page ${base.toFixed(0)} ms; ` +
      `ratio ${(painted / base).toFixed(1)}  ${path}${tooSlow ? `  more than ${most} times as long` : ""}`,
    );
  }
}
await browser.close();
empty.close();
if (slow) {
  console.error(`FAIL paint: ${slow} are painted late`);
  process.exitCode = 1;
}
