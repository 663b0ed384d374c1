// A receiver that fails: its retry comes when the clock is moved there, its dead letter is sent again, its events are replayed.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, visitor } from "../lib/browser.mjs";
import { api, signIn, signUp } from "../lib/people.mjs";
import { startPlatform, until } from "../lib/platform.mjs";
import { startReceiver } from "../lib/receiver.mjs";

let platform, browser, receiver, admin;
before(async () => {
  platform = await startPlatform();
  browser = await launch();
  receiver = await startReceiver({ status: 500, body: "no room" });
  admin = await signUp(platform, "Engines", "ada@engines.example");
});
after(async () => {
  await browser?.close();
  receiver?.stop();
  await platform?.stop();
});

const ask = (method, path, body) => api(platform, admin.access_token, method, path, body);

/** The form on the clock's page that a link of the console leads to, sent. */
async function move(page) {
  await page.getByRole("link", { name: "Move the clock there" }).first().click();
  await page.getByRole("heading", { name: "Clock" }).waitFor();
  await page.getByRole("button", { name: "Go there" }).click();
}

test("a retry comes when the clock is moved there, and what is dead is sent again", async () => {
  const { page, faults } = await visitor(browser, platform);
  const endpoint = await ask("POST", "/api/admin/webhooks", { url: receiver.url, events: ["lead.created"], max_retries: 1 });
  await ask("POST", "/v1/leads", { email: "charles@example.com" });
  await signIn(page, admin);

  await page.goto(`/console/webhooks/${endpoint.id}`);
  await page.locator("[data-live]").getByRole("link", { name: "lead.created" }).click();
  await page.getByText("Next attempt at").waitFor();
  assert.match(await page.locator("main").innerText(), /500/);
  await move(page);
  await page.waitForURL(/console\/deliveries\//);
  await page.getByText("Every attempt has failed: a dead letter.").waitFor({ timeout: 30_000 });

  // What failed is told by its cause, and the receiver is mended.
  await page.goto(`/console/webhooks/${endpoint.id}/failures`);
  await page.getByText("500").first().waitFor();
  receiver.answer = { status: 204 };
  await page.goto("/console/dead-letters");
  await page.getByLabel(/^lead\.created of/).check();
  await page.getByRole("button", { name: "Redrive those that are ticked" }).click();
  await page.getByText("1 dead letter").waitFor();
  await page.getByRole("button", { name: "Redrive them" }).click();
  await page.waitForURL(/dead-letters\?notice=redriven/);
  await until("what was redriven", () => receiver.taken.some(({ data }) => data.email === "charles@example.com"));
  await page.goto("/console/dead-letters");
  await page.getByText("No dead letters").waitFor();

  // The same event once more by a replay: counted before it starts, and followed to its end.
  await page.goto(`/console/webhooks/${endpoint.id}/replay`);
  await page.locator('input[type="datetime-local"]').first().fill(new Date(Date.now() - 3600e3).toISOString().slice(0, 16));
  await page.locator('input[name="statuses"][value="succeeded"]').check();
  await page.getByRole("button", { name: "Count them" }).click();
  await page.getByText("1 delivery of 1 event").waitFor();
  await page.getByRole("button", { name: "Start the replay" }).click();
  await page.waitForURL(/console\/replays\//);
  // It starts within a minute, and here that passes at once.
  await fetch(`${platform.url}/_local/clock`, { method: "POST", body: new URLSearchParams({ by: "60" }) });
  await page.getByText("completed").first().waitFor({ timeout: 30_000 });
  await until("what was replayed", () => receiver.taken.length === 2);
  assert.deepEqual(faults, []);
});

test("a key is refused once the clock has passed its end", async () => {
  const { page } = await visitor(browser, platform);
  const { now } = await (await fetch(`${platform.url}/_local/clock`, { headers: { Accept: "application/json" } })).json();
  const expires_at = new Date(Date.parse(now) + 86_400e3).toISOString();
  const key = await ask("POST", "/api/admin/api-keys", { name: "For a day", scopes: ["leads:read"], expires_at });
  assert.deepEqual((await api(platform, key.key, "GET", "/v1/whoami")).scopes, ["leads:read"]);
  await signIn(page, admin);
  await page.goto(`/console/keys/${key.id}`);
  await move(page);
  // A day has passed: the session has another access token by then, and nobody was asked to sign in.
  await page.waitForURL(`${platform.url}/console/keys/${key.id}`);
  await page.getByRole("heading", { name: "For a day" }).waitFor();
  const refused = await fetch(`${platform.url}/v1/whoami`, { headers: { Authorization: `Bearer ${key.key}` } });
  assert.equal(refused.status, 401);
  assert.match(await refused.text(), /expired/);
});
