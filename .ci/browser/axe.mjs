// Runs axe-core over every page of a demo hub, in both colours, at desktop and phone width, and fails on a serious or
// critical finding, on an error in the console and on a page that is wider than its window. With script as people have
// it; the tests in genimage/tests/it/browser.rs open the pages without, too.
// SCREENSHOTS names a folder for pictures of all of them. A path like first:/servers means the first of the things that
// this page lists.
// usage: axe.mjs HUB-URL NODE-MODULES-FOLDER PATH…
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [hub, folder, ...paths] = process.argv.slice(2);
const require = createRequire(join(folder, "node_modules", "x.js"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const shots = process.env.SCREENSHOTS;
if (shots) mkdirSync(shots, { recursive: true });

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
});
const page = await browser.newPage();
// The pages forbid scripts that are not theirs; the test's own is let in.
await page.setBypassCSP(true);
const complaints = [];
let about = "";
page.on("console", (message) => { if (message.type() === "error") complaints.push(`${about}: ${message.text()}`); });
page.on("pageerror", (error) => complaints.push(`${about}: ${error.message}`));

const first = async (list) => {
  await page.goto(hub + list, { waitUntil: "domcontentloaded" });
  const found = await page.$$eval("main a", (links) => links.map((link) => link.getAttribute("href")));
  const own = found.find((href) => new RegExp(`^${list}/[a-z]+_[0-9a-f]+$`).test(href ?? ""));
  if (!own) complaints.push(`${list} lists nothing`);
  return own ?? list;
};

for (const asked of paths) {
  const path = asked.startsWith("first:") ? await first(asked.slice("first:".length)) : asked;
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    for (const theme of ["light", "dark"]) {
      about = `${asked} ${width} px ${theme}`;
      await page.setViewport({ width, height });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      // Live pages never fall silent on the network.
      await page.goto(hub + path, { waitUntil: "domcontentloaded" });
      await page.evaluate(() => document.fonts.ready);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) complaints.push(`${about}: ${wide} px wider than the window`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      for (const found of violations.filter(({ impact }) => impact === "serious" || impact === "critical")) {
        complaints.push(`${about}: ${found.id} (${found.impact}): ${found.nodes.map(({ target }) => target).slice(0, 5).join(" | ")}`);
      }
      if (shots) await page.screenshot({ path: join(shots, `${about.replaceAll(/[^a-z0-9]+/g, "-")}.png`), fullPage: true });
    }
  }
}
await browser.close();
for (const complaint of complaints) console.error(complaint);
console.log(`axe: ${paths.length} pages, 2 widths, 2 colours, ${complaints.length} complaints`);
process.exit(complaints.length === 0 ? 0 : 1);
