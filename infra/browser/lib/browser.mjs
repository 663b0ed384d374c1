// Chromium, as people have it: the one of the system, without anything of its own in the background.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"];

/** Starts it. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}

/**
 * A visitor with cookies of their own. What the console must never do ends the test: an error of a script, a breach of the
 * content security policy, or a request to anywhere but the platform.
 */
export async function visitor(browser, platform, options = {}) {
  const context = await browser.newContext({ baseURL: platform.url, viewport: { width: 1440, height: 900 }, ...options });
  const faults = [];
  context.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol.startsWith("http") && host !== new URL(platform.url).host) faults.push(`asked ${request.url()}`);
  });
  context.on("weberror", (error) => faults.push(String(error.error())));
  context.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  return { context, page, faults };
}

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * What axe finds wrong with a page by WCAG 2.2 AA and its best practices. Evaluated by the browser's own tools, which the page's
 * policy does not bind.
 */
export async function violations(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }),
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} (${node.failureSummary})`).join("; ")}`);
}
