// Single sign-on from end to end: an admin shows that a domain is theirs and sets a provider up, and people come by it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, visitor } from "../lib/browser.mjs";
import { startDns } from "../lib/dns.mjs";
import { signIn, signUp } from "../lib/people.mjs";
import { startPlatform } from "../lib/platform.mjs";
import { startProvider } from "../lib/provider.mjs";

const DOMAIN = "engines.example";

let dns, platform, provider, browser, admin;
before(async () => {
  dns = await startDns();
  platform = await startPlatform({ environment: { DNS_RESOLVER: dns.address } });
  provider = await startProvider(platform);
  browser = await launch();
  admin = await signUp(platform, "Analytical Engines", `ada@${DOMAIN}`);
});
after(async () => {
  await browser?.close();
  await provider?.stop();
  await platform?.stop();
  dns?.stop();
});

/** What a page breached, besides going to the provider, which is what it is there for. */
const breaches = (faults) => faults.filter((fault) => !fault.startsWith(`asked ${provider.issuer}`));

/** Goes to the provider from the page of sign-in, and says there who one is. */
async function signOn(page, email) {
  await page.goto("/console/sign-in/sso");
  await page.getByLabel("Domain of your organization").fill(DOMAIN);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.waitForURL(`${provider.issuer}/**`);
  await page.getByLabel("Who are you?").fill(email);
  await page.getByRole("button", { name: "Sign in" }).click();
}

test("an admin proves a domain by DNS and sets a provider up", async () => {
  const { context, page, faults } = await visitor(browser, platform);
  await signIn(page, { email: admin.user.email });

  await page.goto("/console/settings/sso");
  await page.getByText("No domain is verified.").waitFor();
  await page.getByRole("link", { name: "Claim a domain" }).click();
  await page.getByLabel("Domain", { exact: true }).fill(DOMAIN);
  await page.getByRole("button", { name: /claim/i }).click();

  await page.goto(`/console/settings/domains/${DOMAIN}`);
  const verify = page.getByRole("button", { name: "Verify now" });
  await verify.click();
  await page.getByRole("alert").waitFor();
  const { challenge } = await (await fetch(`${platform.url}/api/admin/domains/${DOMAIN}`, { headers: { authorization: `Bearer ${admin.access_token}` } })).json();
  assert.ok((await page.content()).includes(challenge.value), "what to publish is on the page");
  dns.texts.set(challenge.name, challenge.value);
  await page.goto(`/console/settings/domains/${DOMAIN}`);
  await verify.click();
  await page.getByText("verified", { exact: true }).first().waitFor();

  await page.goto("/console/settings/sso");
  await page.getByLabel("Issuer").fill(provider.issuer);
  await page.getByLabel("Client id").fill(provider.client_id);
  await page.getByLabel("Client secret").fill(provider.client_secret);
  await page.getByRole("button", { name: "Set it up" }).click();
  await page.getByRole("heading", { name: "The identity provider" }).waitFor();
  assert.ok(!(await page.content()).includes(provider.client_secret), "the secret is shown to nobody");

  // The test signs on in a tab of its own.
  const [tab] = await Promise.all([context.waitForEvent("page"), page.getByRole("link", { name: "Test it" }).click()]);
  await tab.getByRole("button", { name: "Go on" }).click();
  await tab.waitForURL(`${provider.issuer}/**`);
  await tab.getByLabel("Who are you?").fill(admin.user.email);
  await tab.getByRole("button", { name: "Sign in" }).click();
  await tab.getByRole("heading", { name: "Overview" }).waitFor();
  assert.deepEqual(breaches(faults), []);
  await context.close();
});

test("who comes by the provider joins, and is signed in", async () => {
  const { context, page, faults } = await visitor(browser, platform);
  await signOn(page, `grace@${DOMAIN}`);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto("/console/profile");
  await page.getByText(`grace@${DOMAIN}`).first().waitFor();
  const cookies = await context.cookies();
  assert.ok(cookies.every(({ httpOnly }) => httpOnly), "no script sees a cookie");
  assert.ok(!cookies.some(({ name, value }) => /sign-on/.test(name) && value), "what was for the way there is gone");
  assert.deepEqual(breaches(faults), []);
  await context.close();
});

test("who turns back there, or is of another domain, is told so and stays signed out", async () => {
  for (const [email, said] of [["nobody", /turned you back/], ["grace@elsewhere.example", /certain e-mail domains/]]) {
    const { context, page } = await visitor(browser, platform);
    await signOn(page, email);
    await page.waitForURL(/\/console\/sign-in\/sso/);
    assert.match(await page.getByRole("alert").innerText(), said);
    await page.goto("/console/people");
    await page.waitForURL(/\/console\/sign-in\?/);
    await context.close();
  }
});

test("an answer of the provider is good in the browser that set out, and once", async () => {
  const setOut = await visitor(browser, platform);
  const answers = [];
  setOut.page.on("request", (request) => {
    if (request.url().includes("/api/auth/sso/callback?")) answers.push(request.url());
  });
  await signOn(setOut.page, `mary@${DOMAIN}`);
  await setOut.page.getByRole("heading", { name: "Overview" }).waitFor();
  assert.equal(answers.length, 1);
  const other = await visitor(browser, platform);
  await other.page.goto(answers[0]);
  await other.page.waitForURL(/\/console\/sign-in\/sso/);
  await other.page.getByText("begun in another browser").waitFor();
  await other.page.goto("/console");
  await other.page.waitForURL(/\/console\/sign-in/);
  await setOut.context.close();
  await other.context.close();
});
