// Every page at 1440 and 390 pixels, light and dark, into screenshots/. Names of pages as arguments narrow it down.

import { mkdir } from "node:fs/promises";

import { launch, visitor } from "./lib/browser.mjs";
import { signIn } from "./lib/people.mjs";
import { OUTSIDE, furnished, inside } from "./lib/places.mjs";
import { startPlatform } from "./lib/platform.mjs";

const folder = new URL("screenshots/", import.meta.url).pathname;
const wanted = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const platform = await startPlatform();
const browser = await launch();
try {
  const tenant = await furnished(platform);
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    for (const colorScheme of ["light", "dark"]) {
      const { page } = await visitor(browser, platform, { viewport: { width, height }, colorScheme });
      const take = async ([name, path]) => {
        if (wanted.length > 0 && !wanted.includes(name)) return;
        await page.goto(path);
        await page.screenshot({ path: `${folder}${name}-${width}-${colorScheme}.png`, fullPage: true });
      };
      for (const place of OUTSIDE) await take(place);
      await signIn(page, tenant.admin);
      for (const place of inside(tenant)) await take(place);
    }
  }
  console.log(`in ${folder}`);
} finally {
  await browser.close();
  await platform.stop();
}
