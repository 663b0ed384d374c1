// An administrator's day: from sign-up to a webhook that is seen to arrive, and back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, violations, visitor } from "../lib/browser.mjs";
import { PASSWORD, api, signIn } from "../lib/people.mjs";
import { linkIn, mailTo, startPlatform } from "../lib/platform.mjs";

let platform, browser;
before(async () => {
  platform = await startPlatform({ environment: { WEBHOOK_RETRY_BASE_SECONDS: "1" } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await platform?.stop();
});

test("signs up, makes a key and uses it, sees a webhook arrive, rotates, searches and exports the audit log", async () => {
  const email = "ada@engines.example";
  const { page, faults } = await visitor(browser, platform);
  // The word before a secret is lost.
  page.on("dialog", (dialog) => dialog.accept());

  // Sign up, and confirm the address by the link in the mail.
  await page.goto("/console");
  await page.waitForURL(/sign-in/);
  await page.getByRole("link", { name: "Sign up" }).click();
  await page.getByLabel("Organization").fill("Analytical Engines");
  await page.getByLabel("Your name").fill("Ada Lovelace");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.locator("#password-fault").waitFor();
  assert.equal(await page.getByLabel("Your name").inputValue(), "Ada Lovelace", "what was entered stays");
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto(linkIn(await mailTo(platform, email, /token=/)));
  await page.getByRole("button", { name: "Yes, confirm it" }).click();
  await page.getByText("Your address is confirmed.").waitFor();

  // A key, shown once, that works.
  await page.getByRole("link", { name: "API keys" }).first().click();
  await page.getByRole("link", { name: "New key" }).click();
  await page.getByLabel("Name").fill("CRM sync");
  for (const scope of ["leads:read", "leads:write"]) await page.locator(`input[value="${scope}"]`).check();
  await page.getByRole("button", { name: "Make the key" }).click();
  const key = await page.locator("#key").inputValue();
  assert.match(key, /^sk_live_\w{32}$/);
  assert.deepEqual(await violations(page), []);
  const whoami = await api(platform, key, "GET", "/v1/whoami");
  assert.deepEqual(whoami.scopes, ["leads:read", "leads:write"]);
  await page.getByRole("link", { name: "I have stored it" }).click();
  await page.getByRole("heading", { name: "CRM sync" }).waitFor();
  assert.ok(!(await page.content()).includes(key), "no other page shows it");

  // An endpoint, and a delivery that appears while one looks on.
  await page.getByRole("link", { name: "Webhooks" }).first().click();
  await page.getByRole("link", { name: /New endpoint/ }).first().click();
  await page.getByLabel("URL").fill(`http://127.0.0.1:${platform.port}/_local/inbox/crm`);
  await page.locator('input[name="events"][value="lead.created"]').check();
  await page.getByRole("button", { name: /Add the endpoint|Make the endpoint/ }).click();
  await page.getByText(/whsec_/).first().waitFor();
  assert.deepEqual(await violations(page), []);
  await page.getByRole("link", { name: "I have stored it" }).click();
  await page.locator("[data-live]").first().waitFor();
  await api(platform, key, "POST", "/v1/leads", { email: "charles@example.com" });
  await page.locator("[data-live]").getByText("lead.created").first().waitFor();
  await page.locator("[data-live]").getByText("succeeded").first().waitFor({ timeout: 30_000 });

  // Rotation with grace: both keys work.
  await page.goto("/console/keys");
  await page.getByRole("link", { name: "CRM sync" }).click();
  await page.getByRole("link", { name: "Rotate" }).click();
  await page.getByLabel("How long the old key goes on").selectOption("3600");
  await page.getByRole("button", { name: "Rotate the key" }).click();
  const next = await page.locator("#key").inputValue();
  assert.notEqual(next, key);
  for (const each of [key, next]) await api(platform, each, "GET", "/v1/whoami");

  // The audit log: found, shown with what changed, exported as shown.
  await page.goto("/console/audit?action=api_key.rotate");
  await page.getByRole("link", { name: /api_key\.rotate|rotated/i }).first().click();
  await page.locator("main").getByText(email).first().waitFor();
  await page.goto("/console/audit?action=api_key.create");
  await page.getByRole("link", { name: /Export/ }).first().click();
  await page.getByRole("button", { name: /Export|Start/ }).click();
  const link = page.getByRole("link", { name: /\.csv|\.ndjson|Download/ }).first();
  await link.waitFor({ timeout: 60_000 });

  // Revoked by name, and refused from then on.
  await page.goto("/console/keys");
  await page.getByRole("link", { name: "CRM sync" }).first().click();
  await page.getByRole("link", { name: "Revoke" }).click();
  await page.getByLabel(/name of the key/).fill("something else");
  await page.getByRole("button", { name: "Revoke the key" }).click();
  await page.locator("#confirm-fault").waitFor();
  await page.getByLabel(/name of the key/).fill("CRM sync");
  await page.getByRole("button", { name: "Revoke the key" }).click();
  await page.getByText("The API key is revoked.").waitFor();
  assert.deepEqual(faults, []);
});

test("signing in with a wrong password says so, and stays signed out", async () => {
  const { page } = await visitor(browser, platform);
  await page.goto("/console/sign-in");
  await page.getByLabel("E-mail address").fill(platform.administrator.email);
  await page.getByLabel("Password").fill("not the password at all");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await page.goto("/console/keys");
  await page.waitForURL(/sign-in\?next=%2Fconsole%2Fkeys/);
  await signIn(page, platform.administrator);
});
