// What somebody else could try on people who use the console.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { launch, visitor } from "../lib/browser.mjs";
import { PASSWORD, api, signIn, signUp } from "../lib/people.mjs";
import { inside, furnished } from "../lib/places.mjs";
import { startPlatform, until } from "../lib/platform.mjs";
import { startReceiver } from "../lib/receiver.mjs";

let platform, browser, admin;
before(async () => {
  platform = await startPlatform();
  browser = await launch();
  admin = await signUp(platform, "Acme", "admin@acme.example");
});
after(async () => {
  await browser?.close();
  await platform?.stop();
});

const keys = async (token) => {
  const response = await fetch(`${platform.url}/api/admin/api-keys`, { headers: { Authorization: `Bearer ${token}` } });
  return (await response.json()).data.length;
};

test("a page of another site cannot send a form of the console's", async () => {
  const { page } = await visitor(browser, platform);
  await signIn(page, admin);
  const target = `${platform.url}/console/keys/new`;
  const evil = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(`<form method="post" action="${target}"><input name="name" value="stolen"><input name="scopes" value="leads:read"><button>Win</button></form>`);
  }).listen(0, "127.0.0.1");
  try {
    await new Promise((resolve) => evil.once("listening", resolve));
    const before = await keys(admin.access_token);
    await page.goto(`http://127.0.0.1:${evil.address().port}/`);
    const [response] = await Promise.all([page.waitForResponse(target), page.getByRole("button", { name: "Win" }).click()]);
    assert.equal(response.status(), 403);
    assert.equal(await keys(admin.access_token), before);
  } finally {
    evil.close();
  }
});

test("a form without the browser's own token is refused, from our own origin too", async () => {
  const { page, context } = await visitor(browser, platform);
  await signIn(page, admin);
  const before = await keys(admin.access_token);
  for (const token of ["", "guessed"]) {
    const response = await context.request.post("/console/keys/new", {
      form: { _form: token, name: "stolen", scopes: "leads:read" },
      headers: { Origin: platform.url },
    });
    assert.equal(response.status(), 403);
  }
  assert.equal(await keys(admin.access_token), before);
});

test("no page can be framed, and its policy names no other host and nothing unsafe", async () => {
  for (const path of ["/console/sign-in", "/console/sign-up", "/console/keys"]) {
    const response = await fetch(`${platform.url}${path}`);
    const policy = response.headers.get("content-security-policy");
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.equal(response.headers.get("x-frame-options"), "DENY");
    assert.equal(response.headers.get("cache-control"), "no-store");
  }
});

test("signing in leads nowhere but into the console", async () => {
  for (const next of ["https://evil.example/", "//evil.example", "/console//evil.example", "/\\evil.example", "/api/auth/me", "javascript:alert(1)"]) {
    const { page, context } = await visitor(browser, platform);
    await page.goto(`/console/sign-in?next=${encodeURIComponent(next)}`);
    await page.getByLabel("E-mail address").fill(admin.email);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${platform.url}/console`);
    await context.close();
  }
});

test("signing in changes everything that a browser held before, and signing out ends it", async () => {
  const { page, context } = await visitor(browser, platform);
  await page.goto("/console/sign-in");
  const fixed = (await context.cookies()).find(({ name }) => name.endsWith("-form"));
  await signIn(page, admin);
  const cookies = await context.cookies();
  assert.notEqual(cookies.find(({ name }) => name.endsWith("-form")).value, fixed.value, "the token of forms is another one");
  for (const cookie of cookies) {
    assert.equal(cookie.httpOnly, true, cookie.name);
    assert.equal(cookie.sameSite, "Lax", cookie.name);
  }
  assert.equal(await page.evaluate(() => document.cookie), "");
  const held = cookies.find(({ name }) => name.endsWith("-access")).value;
  await page.locator("summary", { hasText: "profile and sign-out" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(/sign-in/);
  const after = await fetch(`${platform.url}/api/auth/me`, { headers: { Authorization: `Bearer ${held}` } });
  assert.equal(after.status, 401, "the token that the browser held is worth nothing");
});

const MARKUP = `"'><img src=x onerror=alert(1)><script>alert(2)</script>`;

test("what tenants, callers and receivers write is text on every page", async () => {
  const receiver = await startReceiver({
    status: 418, headers: { "Content-Type": "text/html", "X-Teapot": MARKUP, Server: MARKUP }, body: MARKUP,
  });
  try {
    const tenant = await furnished(platform, `Engines ${MARKUP}`);
    const { ask, workspace } = tenant;
    await ask("PATCH", "/api/auth/me", { name: MARKUP });
    await ask("PATCH", `/api/admin/workspaces/${workspace}`, { name: MARKUP });
    const key = await ask("POST", "/api/admin/api-keys", { name: MARKUP, scopes: ["leads:read", "leads:write"] });
    const agent = { "User-Agent": MARKUP };
    const lead = await api(platform, key.key, "POST", "/v1/leads", {
      email: "bold@example.com", first_name: MARKUP, company: MARKUP, title: MARKUP, custom: { [MARKUP]: MARKUP },
    }, { ...agent, "X-Workspace-Id": workspace });
    await ask("POST", `/v1/leads/${lead.id}/replies`, { message: MARKUP });
    const campaign = await ask("POST", "/v1/campaigns", { name: MARKUP, goal: MARKUP, description: MARKUP });
    const endpoint = await ask("POST", "/api/admin/webhooks", {
      url: `${receiver.url}?${encodeURIComponent(MARKUP)}`, events: ["lead.created"], max_retries: 0, description: MARKUP,
    });
    await api(platform, key.key, "POST", "/v1/leads", { email: "bolder@example.com" }, { ...agent, "X-Workspace-Id": workspace });
    const [dead] = await until("a dead letter", async () => {
      const { data } = await ask("GET", `/api/admin/webhooks/${endpoint.id}/deliveries?status=dead`);
      return data.length > 0 && data;
    });
    const [record] = (await ask("GET", `/api/admin/audit-logs?resource_id=${lead.id}`)).data;

    const { page, faults } = await visitor(browser, platform);
    page.on("dialog", (dialog) => {
      faults.push(`${page.url()} ran what somebody wrote: ${dialog.message()}`);
      return dialog.dismiss();
    });
    await signIn(page, tenant.admin);
    const written = {
      [`/console/keys/${key.id}`]: 2, [`/console/deliveries/${dead.id}`]: 1, [`/console/webhooks/${endpoint.id}`]: 1,
      [`/console/webhooks/${endpoint.id}/failures`]: 0, [`/console/audit/${record.id}`]: 1,
      [`/console/w/${workspace}/leads/${lead.id}`]: 3, [`/console/w/${workspace}/campaigns/${campaign.id}`]: 2,
      [`/console/find?id=${dead.id}`]: 0, [`/console/find?id=${lead.id}`]: 0, [`/console/find?id=${encodeURIComponent(MARKUP)}`]: 0,
      [`/console/audit?actor=${encodeURIComponent(MARKUP)}`]: 0, [`/console/keys?q=${encodeURIComponent(MARKUP)}`]: 0,
    };
    const others = inside(tenant).map(([, path]) => path).filter((path) => !(path in written));
    for (const path of [...Object.keys(written), ...others]) {
      await page.goto(path);
      assert.equal(await page.locator("img[onerror], main script, [onerror]").count(), 0, path);
      // In what is shown, and in what is folded away.
      const text = await page.locator("body").evaluate((body) => body.textContent + [...body.querySelectorAll("input, textarea")].map(({ value }) => value).join(" "));
      const count = text.split("<img src=x onerror=alert(1)>").length - 1;
      assert.ok(count >= (written[path] ?? 0), `${path} shows what was written ${count} times`);
    }
    assert.deepEqual(faults, []);
  } finally {
    receiver.stop();
  }
});
