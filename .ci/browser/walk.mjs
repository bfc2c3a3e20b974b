// Walks the main task of each page in headless Chromium, with script and without, at desktop and at phone width, and
// fails where a task does not get to its end. Changes what the hub stores: for a demo hub of the tests.
// usage: walk.mjs HUB-URL NODE-MODULES-FOLDER
import { createRequire } from "node:module";
import { join } from "node:path";

const [hub, folder] = process.argv.slice(2);
const require = createRequire(join(folder, "node_modules", "x.js"));
const puppeteer = require("puppeteer-core");
const PATIENCE = 20_000;

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
});
let failed = 0;
let walked = 0;

const text = (page) => page.evaluate(() => document.querySelector("main").innerText);
const assert = (is, said) => { if (!is) throw new Error(said); };
const says = async (page, words) => { const said = await text(page); assert(said.includes(words), `it does not say “${words}”: ${said.slice(0, 400)}`); };
const go = (page, path) => page.goto(hub + path, { waitUntil: "domcontentloaded" });
// What leads to another page, by pressing it.
const press = async (page, selector) => {
  const button = await page.waitForSelector(selector, { timeout: PATIENCE });
  await button.evaluate((element) => element.scrollIntoView({ block: "center" }));
  await Promise.all([page.waitForNavigation({ waitUntil: "domcontentloaded", timeout: PATIENCE }), button.click()]);
};
const type = async (page, selector, words) => {
  await page.$eval(selector, (element) => { element.value = ""; });
  await page.type(selector, words);
};
// What opens or ticks something on the page, clear of the bar at the bottom of a phone.
const tap = async (page, selector) => {
  await page.$eval(selector, (element) => element.scrollIntoView({ block: "center" }));
  await page.click(selector);
};
// A page whose picture is there: live with script, by looking again without.
const untilPicture = async (page, script) => {
  const end = Date.now() + PATIENCE;
  while (!(await page.$("main img[src^='/outputs/']"))) {
    assert(Date.now() < end, `no picture: ${(await text(page)).slice(0, 400)}`);
    if (script) await page.waitForSelector("main img[src^='/outputs/']", { timeout: PATIENCE });
    else await page.reload({ waitUntil: "domcontentloaded" });
  }
};
const button = (label) => `::-p-xpath(//main//*[self::button or self::a or self::summary][contains(normalize-space(.), "${label}")])`;

const tasks = {
  "first picture, with a live part whose script comes late": async (page, script) => {
    if (script) {
      await page.setRequestInterception(true);
      const late = (request) => setTimeout(() => request.continue(), request.url().includes("hx-sse") ? 400 : 0);
      page.on("request", late);
    }
    await go(page, "/start");
    await type(page, "#prompt", "a red fox, walked");
    await press(page, "#picture form button[type=submit]");
    await untilPicture(page, script);
    await says(page, "Done");
  },
  "playground to gallery, deleted": async (page, script, mark) => {
    await go(page, "/playground");
    await type(page, "#prompt", `a hen ${mark}`);
    await press(page, "main form[action='/playground/generate_image'] button.primary");
    await untilPicture(page, script);
    await go(page, `/gallery?q=${encodeURIComponent(mark)}`);
    await tap(page, ".shot-pick label");
    await press(page, button("Keep as favourites"));
    await says(page, "Kept as favourites");
    await tap(page, ".shot-pick label");
    await press(page, button("Delete…"));
    await says(page, "Delete 1 picture?");
    await tap(page, "label[for=favourites]");
    await press(page, "form.ask button[type=submit]");
    await says(page, "Deleted.");
    await says(page, "No picture fits");
  },
  "a fault keeps what is typed": async (page) => {
    await go(page, "/playground");
    await type(page, "#prompt", "kept words <b>{{ 7*7 }} שלום 🦊");
    await page.$eval("#seed", (element) => { for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true; });
    await type(page, "#seed", "-5");
    await press(page, "main form[action='/playground/generate_image'] button.primary");
    assert((await page.$eval("#prompt", (element) => element.value)) === "kept words <b>{{ 7*7 }} שלום 🦊", "the prompt is lost");
    assert(await page.$("#seed-fault"), "the fault is not beside its field");
  },
  "a style, added, changed, deleted": async (page, script, mark) => {
    await go(page, "/styles/new");
    await type(page, "#name", `walked ${mark}`);
    await type(page, "#prompt_template", "walked, {prompt}");
    await press(page, "main form[action='/styles/new'] button.primary");
    await says(page, "Style added");
    await press(page, `::-p-xpath(//a[contains(., "walked ${mark}")])`);
    await type(page, "#description", "changed");
    await press(page, "main form[data-guard] button.primary, main form.form button.primary");
    await says(page, "Style saved");
    await tap(page, ".confirm summary");
    await press(page, ".confirm form button");
    await says(page, "Style deleted");
  },
  "a server, tested and switched": async (page) => {
    await go(page, "/servers");
    await press(page, "form[action$='/test'] button");
    await says(page, "The test passed");
    await go(page, "/servers");
    await press(page, "form[action$='/enabled'] button");
    await says(page, "Server switched off");
    await press(page, "form[action$='/enabled'] input[value=true] + button");
    await says(page, "Server switched on");
  },
  "retention, shown before it is saved": async (page) => {
    await go(page, "/maintenance");
    await type(page, "[name='retention.pictures']", "1");
    await press(page, button("Show what would go"));
    await says(page, "would go");
    await press(page, button("Compare now"));
    await says(page, "Every record has its file");
  },
  "a configuration, looked at": async (page) => {
    await go(page, "/configuration");
    await tap(page, "section[aria-labelledby=import-title] summary");
    await page.$eval("#text", (element) => { element.value = JSON.stringify({ format: "genimage-config", version: 1, styles: [{ name: "walked <b>", prompt_template: "x" }] }); });
    await press(page, "section[aria-labelledby=import-title] button.primary");
    await says(page, "This would merge: 1 change");
    await says(page, "walked <b>");
  },
  "a setting, refused and saved": async (page) => {
    await go(page, "/settings");
    await type(page, "[name='queue.max']", "0");
    await press(page, button("Save settings"));
    assert(await page.$("[id='queue.max-fault']"), "the fault is not beside its field");
    await type(page, "[name='queue.max']", "9999");
    await press(page, button("Save settings"));
    await says(page, "Settings saved");
  },
};

for (const script of [true, false]) {
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    for (const [name, walk] of Object.entries(tasks)) {
      const context = await browser.createBrowserContext();
      const page = await context.newPage();
      await page.setJavaScriptEnabled(script);
      await page.setViewport({ width, height });
      page.setDefaultTimeout(PATIENCE);
      const complaints = [];
      page.on("pageerror", (error) => complaints.push(error.message));
      walked += 1;
      try {
        await walk(page, script, `${script ? "s" : "n"}${width}x${Date.now()}`);
        assert(complaints.length === 0, complaints.join("; "));
      } catch (error) {
        failed += 1;
        console.error(`${name}, ${width} px, ${script ? "with" : "without"} script, at ${page.url()}: ${error.message}`);
      }
      await context.close();
    }
  }
}
await browser.close();
console.log(`walk: ${walked} tasks, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
