// Runs web/check.html in a real Chromium: node web/test.mjs CASES all|NUMBER [FILTER]
//
// CHROMIUM names the browser; playwright-core drives it. No server: files are handed to the page as it asks for them.

import { readFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [cases, most = "all", filter = ""] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const types = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json" };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    `--use-webgpu-adapter=${process.env.WEBGPU_ADAPTER ?? "swiftshader"}`,
    "--disable-background-networking",
  ],
});
try {
  const page = await browser.newPage();
  await page.route("**/*", async (route) => {
    const { pathname } = new URL(route.request().url());
    const path = pathname.startsWith("/cases/") ? join(cases, pathname.slice(7)) : join(here, pathname);
    try {
      const contentType = types[extname(path)] ?? "application/octet-stream";
      await route.fulfill({ body: await readFile(path), contentType });
    } catch {
      await route.fulfill({ status: 404 });
    }
  });
  page.on("console", (message) => console.log(`page: ${message.text()}`));
  const failed = new Promise((_, reject) => {
    page.on("pageerror", reject);
    page.on("response", (response) => {
      if (response.status() === 404) reject(new Error(`the page asked for ${response.url()}, which is not there`));
    });
  });
  const start = Date.now();
  // A secure origin, which WebGPU asks for.
  await page.goto(`http://localhost/check.html?most=${most}&filter=${encodeURIComponent(filter)}`);
  await Promise.race([failed, page.waitForFunction(() => window.finished, null, { timeout: 3_600_000 })]);
  console.log(await page.textContent("#log"));
  const [finished, results] = await page.evaluate(() => [window.finished, window.results]);
  const wrong = results.filter((result) => result.wrong).length;
  const seconds = ((Date.now() - start) / 1000).toFixed(0);
  console.log(`${results.length} checks in Chromium ${browser.version()}, ${wrong} wrong, ${seconds} s`);
  if (finished !== "yes") console.log(finished);
  process.exitCode = finished === "yes" && wrong === 0 ? 0 : 1;
} finally {
  await browser.close();
}
