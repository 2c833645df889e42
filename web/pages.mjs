// The pages of `elbo page` in a real Chromium, as a person would use them: node web/pages.mjs ELBO DIRECTORY
//
// ELBO is the program. DIRECTORY has run.html, learn.html, and hostile.html, whose names are markup. Screenshots and tables
// go there, too.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const [elbo, directory] = process.argv.slice(2).map((path) => resolve(path));
const base = ["--no-sandbox", "--disable-background-networking"];
const webgpu = ["--enable-unsafe-webgpu", `--use-webgpu-adapter=${process.env.WEBGPU_ADAPTER ?? "swiftshader"}`];

/** Opens a page from disk in a browser of its own; whatever it asks for, logs as an error or throws is a failure. */
async function open(name, { width = 1440, colorScheme = "light", gpu = true }, use) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: gpu ? [...base, ...webgpu] : base });
  try {
    const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
    const objections = [];
    page.on("pageerror", (error) => objections.push(error.message));
    page.on("console", (message) => message.type() === "error" && objections.push(message.text()));
    page.on("request", (request) => request.url().startsWith("file:") || request.url().startsWith("blob:") || objections.push(`asked for ${request.url()}`));
    const start = Date.now();
    await page.goto(`file://${join(directory, name)}`);
    await page.waitForSelector("footer, .wrong", { timeout: 120_000 });
    const opened = Date.now() - start;
    assert.equal(await page.locator(".wrong").count(), 0, "the page could not be shown");
    await use(page, opened);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(over <= 0, `${over} pixels are cut off at a width of ${width}`);
    assert.deepEqual(objections, []);
  } finally {
    await browser.close();
  }
}

/** The pixels of the decoded image. */
const decoded = (page) =>
  page.locator("canvas.live").evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return Array.from(data);
  });

/** What comes after something is done, once it differs from what was before. */
async function changed(page, act) {
  const before = await decoded(page);
  await act();
  for (let tries = 0; tries < 100; tries++) {
    const after = await decoded(page);
    if (after.some((value, i) => value !== before[i])) return;
    await page.waitForTimeout(100);
  }
  assert.fail("the decoded image did not change");
}

async function explore(page) {
  await page.waitForFunction(() => /ms by/.test(document.querySelector(".timing")?.textContent ?? ""));
  const plane = page.locator("canvas.plane");
  const { x, y, width, height } = await plane.boundingBox();
  await changed(page, () => page.mouse.move(x + 0.3 * width, y + 0.35 * height));
  await changed(page, async () => {
    await plane.focus();
    for (let i = 0; i < 8; i++) await page.keyboard.press("Shift+ArrowRight");
  });
  await changed(page, () => page.click("text=Draw z from the prior"));
  await page.click("text=Sample again");
  assert.ok((await page.locator(".card .small").count()) >= 8);
  await page.waitForTimeout(2500);
}

/** Rows of noise that is not quite uniform, always the same. */
function noise(rows, columns, shift, state) {
  const next = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  return Array.from({ length: rows }, () => Array.from({ length: columns }, () => next() + next() + shift));
}

/** Two tables, compared by the page and by the program with the same seed. */
async function compareTables(page, name, [x, y], seed, header) {
  const files = [x, y].map((rows, which) => {
    const path = join(directory, `${name}-${which}.csv`);
    writeFileSync(path, `${header ?? ""}${rows.map((row) => row.join(",")).join("\n")}\n`);
    return path;
  });
  await page.setInputFiles("#file-X", files[0]);
  await page.setInputFiles("#file-Y", files[1]);
  await page.fill("#seed", seed);
  await page.click("text=Compare the files");
  await page.waitForSelector("figure.null", { timeout: 300_000 });
  const text = await page.textContent("#answer");
  const told = Number(/p = ([\d.]+):/.exec(text)[1]);
  const { stdout } = spawnSync(elbo, ["compare", ...files, "--points", "512", "--seed", seed, "--json", "--engine", "cpu"]);
  const { p_value } = JSON.parse(stdout);
  assert.equal(told, p_value, text);
  console.log(`learn.html, ${name}: p = ${told}, as elbo compare --points 512 --seed ${seed}`);
}

for (const [width, colorScheme] of [[1440, "light"], [360, "dark"]]) {
  await open("run.html", { width, colorScheme }, async (page, opened) => {
    await explore(page);
    console.log(`run.html at ${width}: open after ${opened} ms; ${await page.textContent(".timing")}`);
    await page.screenshot({ path: join(directory, `run-${width}.png`), fullPage: true });
  });
}

await open("run.html", { gpu: false }, async (page) => {
  await explore(page);
  const status = await page.textContent(".timing");
  assert.match(status, /plain JavaScript/);
  console.log(`run.html without WebGPU: ${status}`);
});

await open("hostile.html", {}, async (page) => {
  await explore(page);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator("main img, main script").count(), 0);
  assert.ok((await page.textContent("main")).includes("<img src=x"), "the name of the class is shown as it is");
  // Its decoder is convolutional: the GPU and plain JavaScript must agree.
  assert.match(await page.textContent(".timing"), /WebGPU: |plain JavaScript: /);
  console.log("hostile.html: names of classes stay text");
});

await open("learn.html", {}, async (page, opened) => {
  for (const objective of await page.locator("#objective option").allTextContents()) {
    await page.selectOption("#objective", { label: objective });
    await page.click("text=Start");
    const compared = await page.waitForFunction(
      () => [...document.querySelectorAll("p.quiet")].map((p) => p.textContent).find((text) => text.includes("this GPU")),
      null,
      { timeout: 900_000 },
    );
    const text = await compared.jsonValue();
    const [ours, theirs] = [...text.matchAll(/(\u2212?[\d.]+\d)(?=[,.])/g)].map(([number]) => Number(number.replace("\u2212", "-")));
    assert.ok(Math.abs(ours - theirs) <= 1e-3 * Math.abs(ours), text);
    console.log(`learn.html, ${objective}: ${text}`);
    await page.click("text=Pause");
    await page.waitForTimeout(2000);
  }
  await page.click("text=Compare real and invented digits");
  await page.waitForSelector("figure.null", { timeout: 300_000 });
  console.log(`learn.html: ${await page.textContent("#answer")}`);
  await compareTables(page, "large", [noise(600, 3, 0, 1), noise(550, 3, 0.05, 2)], "18446744073709551", null);
  await compareTables(page, "named", [noise(70, 2, 0, 3), noise(120, 2, 0.1, 4)], "7", "a,b\n");
  const numbered = (rows) => rows.map((row, i) => [i, ...row]);
  await compareTables(page, "indexed", [numbered(noise(50, 2, 0, 5)), numbered(noise(40, 2, 0.1, 6))], "1", ",a,b\n");
  await compareTables(page, "commented", [noise(30, 2, 0, 7), noise(30, 2, 0.2, 8)], "2", "# x,y\n\n");
  const coarse = (rows) => rows.map((row) => row.map((value) => Number(value > 1.8)));
  await compareTables(page, "coinciding", [coarse(noise(40, 1, 0, 9)), coarse(noise(50, 1, 0.3, 10))], "3", null);
  await compareTables(page, "twice", [noise(30, 3, 0, 11), noise(30, 3, 0.2, 12)], "4", "a,a,b\n");
  await page.screenshot({ path: join(directory, "learn-1440.png"), fullPage: true });
  writeFileSync(join(directory, "wrong.csv"), "1,2\n3,oops\n");
  await page.setInputFiles("#file-X", join(directory, "wrong.csv"));
  await page.click("text=Compare the files");
  await page.waitForFunction(() => document.querySelector("#answer").textContent.includes("wrong.csv, line 2, column 1"));
  console.log(`learn.html: open after ${opened} ms`);
});

await open("learn.html", { width: 360, gpu: false }, async (page) => {
  await page.waitForFunction(() => document.querySelector("[role=status]")?.textContent.includes("No training here"));
  console.log(`learn.html without WebGPU: ${await page.textContent("[role=status]")}`);
  await page.screenshot({ path: join(directory, "learn-360.png"), fullPage: true });
});
