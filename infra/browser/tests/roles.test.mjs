// What each role sees of the console: what it may not do is there, says which permission it takes, and is refused when the
// request is made all the same.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, visitor } from "../lib/browser.mjs";
import { PASSWORD, api, signIn } from "../lib/people.mjs";
import { furnished, inside } from "../lib/places.mjs";
import { linkIn, mailTo, startPlatform } from "../lib/platform.mjs";
import { totp } from "../lib/totp.mjs";

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

/** What an admin's browser would send from a page by the form with this action, with some fields entered anew. */
async function filled(page, at, action, entered) {
  await page.goto(at);
  const fields = await page.evaluate((action) => {
    const form = [...document.forms].find((form) => form.method === "post" && new URL(form.action).pathname === action);
    return form && [...new FormData(form)].filter(([name]) => name !== "_form");
  }, action);
  assert.ok(fields, `${at} has the form of ${action}`);
  return [...fields.filter(([name]) => !(name in entered)), ...Object.entries(entered)];
}

/** Sends it all the same, with a browser's own token, where no page of this role would send it. */
async function forge(page, action, fields) {
  return page.evaluate(async ({ action, fields }) => {
    const token = document.querySelector('input[name="_form"]').value;
    const response = await fetch(action, { method: "POST", body: new URLSearchParams([["_form", token], ...fields]) });
    return [response.status, await response.text()];
  }, { action, fields });
}

test("an admin is shown nothing as out of reach", async () => {
  const { page } = await visitor(browser, platform);
  await signIn(page, tenant.admin);
  for (const [name, path] of inside(tenant)) {
    await page.goto(path);
    assert.equal(await page.locator(".unavailable, .side .lock").count(), 0, name);
  }
});

/** Forms of every kind: the permission it takes, its page, where it is sent if not there, and what is entered. */
function forms(it) {
  const w = `/console/w/${it.workspace}`;
  const { member, reader } = it;
  const key = `/console/keys/${it.key.id}`;
  const endpoint = `/console/webhooks/${it.good.id}`;
  const person = `/console/people/${member.user.id}`;
  const workspace = `/console/workspaces/${it.workspace}`;
  const domain = "/console/settings/domains/engines.example";
  const lead = `${w}/leads/${it.lead.id}`;
  const campaign = `${w}/campaigns/${it.campaign.id}`;
  return [
    ["api_keys:write", "/console/keys/new", "", { name: "forged", scopes: "leads:read" }],
    ["api_keys:write", key, "", { name: "forged" }],
    ["api_keys:write", `${key}/rotate`, "", { grace_seconds: "0" }],
    ["api_keys:delete", `${key}/revoke`, "", { confirm: it.key.name }],
    ["webhooks:write", "/console/webhooks/new", "", { url: it.good.url, events: "*" }],
    ["webhooks:write", `${endpoint}/settings`, "", { description: "forged" }],
    ["webhooks:write", `${endpoint}/test`, "", {}],
    ["webhooks:write", `${endpoint}/secret`, "", { overlap_seconds: "0" }],
    ["webhooks:write", `${endpoint}/disable`, "", {}],
    ["webhooks:delete", `${endpoint}/delete`, "", { confirm: it.good.url }],
    ["webhooks:write", `${endpoint}/replay?asked=1&count=1&statuses=succeeded`, `${endpoint}/replay`, {}],
    ["webhooks:write", `/console/deliveries/${it.dead.id}`, `/console/deliveries/${it.dead.id}/retry`, {}],
    ["webhooks:write", `/console/dead-letters/redrive?delivery=${it.dead.id}`, "/console/dead-letters/redrive", {}],
    ["audit_logs:export", "/console/audit/exports/new", "", { format: "csv" }],
    ["users:write", "/console/people/invitations/new", "", { people: "forged@example.com", role: "read_only" }],
    ["users:write", person, "", { role: "admin" }],
    ["users:write", person, `${person}/deactivate`, {}],
    ["users:delete", `${person}/remove`, "", { confirm: member.user.name }],
    ["workspaces:write", "/console/workspaces/new", "", { name: "forged" }],
    ["workspaces:write", workspace, "", { name: "forged" }],
    ["workspaces:write", workspace, `${workspace}/status`, {}],
    ["workspaces:delete", `${workspace}/delete`, "", { confirm: it.admin.workspaces[0].name }],
    ["users:write", `${workspace}/members/new`, "", { user_id: reader.user.id, role: "member" }],
    ["users:write", `${workspace}/members/${member.user.id}`, "", { role: "manager" }],
    ["users:write", `${workspace}/members/${member.user.id}`, `${workspace}/members/${member.user.id}/remove`, {}],
    ["organization:write", "/console/settings", "", { name: "forged" }],
    ["organization:write", "/console/settings/security", "", { session_max_age_seconds: "3600", sure: "on" }],
    ["organization:write", "/console/settings/origins", "", { cors_origins: "https://evil.example" }],
    ["organization:delete", "/console/settings/danger/delete", "", { confirm: it.name, password: PASSWORD }],
    ["domains:write", "/console/settings/domains", "", { domain: "evil.example" }],
    ["domains:delete", `${domain}/delete`, "", { confirm: "engines.example" }],
    ["sso:write", "/console/settings/sso", "", { issuer: "https://evil.example", client_id: "x", client_secret: "x" }],
    ["privacy:read", "/console/settings/privacy", "/console/settings/privacy/exports", { person: it.lead.email }],
    ["privacy:write", `/console/settings/privacy/erase?person=${it.lead.email}`, "/console/settings/privacy/erase", { person: it.lead.email, confirm: it.lead.email }],
    ["campaigns:write", `${w}/campaigns/new`, "", { name: "forged" }],
    ["campaigns:write", campaign, "", { name: "forged" }],
    ["leads:write", `${w}/leads/new`, "", { email: "forged@example.com" }],
    ["leads:write", lead, "", { company: "forged" }],
    ["leads:write", lead, `${lead}/qualify`, {}],
    ["leads:delete", lead, `${lead}/delete`, { sure: "yes" }],
    ["meetings:write", `${w}/meetings/new?lead_id=${it.lead.id}`, `${w}/meetings/new`, { lead_id: it.lead.id, starts_at: "2027-01-01T10:00", ends_at: "2027-01-01T11:00" }],
    ["meetings:write", `${w}/meetings/${it.meeting.id}`, `${w}/meetings/${it.meeting.id}/cancel`, {}],
  ];
}

for (const [role, may, lacks] of [
  ["manager", ["/console/keys", "/console/webhooks"], ["api_keys:write", "/console/keys"]],
  ["member", [], null],
  ["reader", ["/console/keys", "/console/webhooks", "/console/audit"], ["api_keys:write", "/console/keys"]],
]) {
  test(`a ${role} sees what they may, is told what they lack, and forges nothing`, async () => {
    const { page, faults } = await visitor(browser, platform);
    await signIn(page, tenant[role]);
    for (const [name, path] of inside(tenant)) {
      const response = await page.goto(path);
      assert.ok([200, 403, 404].includes(response.status()), `${name}: ${response.status()}`);
      if (response.status() === 403) assert.match(await page.locator("main").innerText(), /permission/, name);
    }
    for (const path of may) assert.equal((await page.goto(path)).status(), 200, path);
    if (lacks) {
      const [permission, shown] = lacks;
      await page.goto(shown);
      await page.locator(".unavailable").getByText(permission).first().waitFor();
    }

    const { permissions_somewhere: held } = await api(platform, tenant[role].access_token, "GET", "/api/auth/me");
    const out = forms(tenant).filter(([permission]) => !held.includes(permission));
    assert.ok(out.length > 10, `${out.length} forms are out of reach`);
    const made = async () => {
      const { data } = await tenant.ask("GET", `/api/admin/audit-logs?actor=${tenant[role].user.id}&outcome=success&limit=100`);
      return data.map(({ action }) => action).filter((action) => !action.startsWith("session."));
    };
    const before = await made();
    const { page: theirs } = await visitor(browser, platform);
    await signIn(theirs, tenant.admin);
    await page.goto("/console");
    const reached = [];
    for (const [permission, at, action, entered] of out) {
      const fields = await filled(theirs, at, action || at, entered);
      const [status, said] = await forge(page, action || at, fields);
      // Refused for want of a permission, that one or the one to look; or there is nothing of that kind for them to see.
      const isRefused = status === 403 && /takes the permission|permission .* is needed/.test(said);
      if (!isRefused && status !== 404) reached.push([action || at, status, permission]);
    }
    assert.deepEqual(reached, []);
    assert.deepEqual(await made(), before, "nothing was done");
    assert.deepEqual(faults, []);
  });
}

test("somebody who is invited joins, with the second factor that the organization asks for", async () => {
  await tenant.ask("POST", "/api/admin/invitations", { email: "grace@engines.example", role: "read_only" });
  const { page } = await visitor(browser, platform);
  await page.goto(linkIn(await mailTo(platform, "grace@engines.example", /token=/)));
  await page.getByLabel("Your name").fill("Grace Hopper");
  await page.getByLabel("Password").fill("a compiler of nanoseconds");
  await page.getByRole("button", { name: "Join" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto("/console/profile/second-factor");
  await page.getByLabel("Your password").fill("a compiler of nanoseconds");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator("svg.qr").waitFor();
  const secret = await page.locator('input[name="secret"]').inputValue();
  await page.locator("#code").fill(totp(secret));
  await page.getByRole("button", { name: "Switch it on" }).click();
  await page.getByText("Store these recovery codes now.").waitFor();
  const codes = (await page.locator("pre").innerText()).trim().split("\n");
  assert.equal(codes.length, 10);
  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("link", { name: "I have stored them" }).click();

  // Signs in again with password and recovery code: the app's own code was used just now.
  const { page: elsewhere } = await visitor(browser, platform);
  await signIn(elsewhere, { email: "grace@engines.example", password: "a compiler of nanoseconds" });
  await elsewhere.getByText("The app is gone").click();
  await elsewhere.getByLabel("Recovery code").fill(codes[0]);
  await elsewhere.getByRole("button", { name: "Go on" }).click();
  await elsewhere.getByRole("heading", { name: "Overview" }).waitFor();
});
