// What axe says of every page, light and dark; that every page is there for its visitor, is small, needs no script to show
// itself, asks no other host for anything, and shows what people wrote as text.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, violations, visitor } from "../lib/browser.mjs";
import { signIn } from "../lib/people.mjs";
import { OUTSIDE, furnished, inside } from "../lib/places.mjs";
import { startPlatform } from "../lib/platform.mjs";

const LARGEST = 100 * 1024;
let platform, browser, tenant;
before(async () => {
  platform = await startPlatform();
  browser = await launch();
  tenant = await furnished(platform);
});
after(async () => {
  await browser?.close();
  await platform?.stop();
});

for (const [colorScheme, width] of [["light", 1440], ["dark", 1440], ["light", 390]]) {
  test(`axe finds nothing wrong with any page in ${colorScheme} colours, ${width} pixels wide`, async () => {
    const { page, faults } = await visitor(browser, platform, { colorScheme, viewport: { width, height: 900 } });
    const wrong = [];
    const look = async ([name, path]) => {
      const response = await page.goto(path);
      assert.equal(response.status(), name === "not-found" ? 404 : 200, `${path} is there`);
      for (const violation of await violations(page)) wrong.push(`${name}: ${violation}`);
    };
    for (const place of OUTSIDE) await look(place);
    await signIn(page, tenant.admin);
    for (const place of inside(tenant)) await look(place);
    await look(["clock", "/_local/clock"]);
    assert.deepEqual(wrong, []);
    assert.deepEqual(faults, []);
  });
}

test("no page is larger than 100 KB with all that belongs to it, and each is narrow enough for 360 pixels", async () => {
  const { page, context } = await visitor(browser, platform, { viewport: { width: 360, height: 800 } });
  await signIn(page, tenant.admin);
  // What a page asks for is asked for anew, as if nothing were kept.
  const sizes = new Map();
  const size = async (url) => (await (await context.request.get(url)).body()).length;
  for (const [name, path] of inside(tenant)) {
    const parts = new Set();
    const seen = (response) => parts.add(response.url());
    page.on("response", seen);
    await page.goto(path);
    await page.waitForLoadState("load");
    page.off("response", seen);
    assert.ok(parts.size >= 3, `${name} has a style and a script`);
    let all = 0;
    for (const part of parts) {
      if (!part.includes("/assets/") || !sizes.has(part)) sizes.set(part, await size(part));
      all += sizes.get(part);
    }
    assert.ok(all <= LARGEST, `${name} is ${all} bytes`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 360, `${name} is ${width} pixels wide`);
  }
});

test("every page shows itself without scripts, and what people wrote as text", async () => {
  const { page, faults } = await visitor(browser, platform, { javaScriptEnabled: false });
  await signIn(page, tenant.admin);
  for (const [name, path] of inside(tenant)) {
    await page.goto(path);
    assert.ok((await page.locator("h1").innerText()).length > 0, name);
    assert.equal(await page.locator("main script, main b:text('Bold')").count(), 0, `${name} has markup that somebody wrote`);
  }
  await page.goto(`/console/w/${tenant.workspace}/leads`);
  assert.ok((await page.locator("main").innerText()).includes("<b>Bold</b> \"><script>alert(1)</script>"));
  assert.deepEqual(faults, []);
});

test("the first stop of the keyboard leads past the navigation, and a key leads to the search", async () => {
  const { page } = await visitor(browser, platform);
  await signIn(page, tenant.admin);
  await page.goto("/console/keys");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.closest("main") !== null), true);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "find");
});
