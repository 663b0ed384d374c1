// The pages there are, for whatever has to look at all of them.

import { api, join, signUp } from "./people.mjs";
import { until } from "./platform.mjs";

/** Addresses of pages for somebody who is signed out. */
export const OUTSIDE = [
  ["sign-in", "/console/sign-in"],
  ["sign-in-sso", "/console/sign-in/sso"],
  ["sign-up", "/console/sign-up"],
  ["password-forgotten", "/console/password/forgotten"],
  ["password-reset", "/console/password/reset?token=none"],
  ["invitation", "/console/invitations/accept?token=none"],
];

/**
 * A tenant in which every page has something to show: keys in all states, an endpoint that is well and one that is not, dead
 * letters, a replay, exports, people of each role. Gives the admin's session and the ids of what there is.
 */
export async function furnished(platform, name = "Analytical Engines") {
  const email = `admin-${Math.random().toString(36).slice(2)}@engines.example`;
  const admin = await signUp(platform, name, email);
  const ask = (method, path, body, headers) => api(platform, admin.access_token, method, path, body, headers);
  await ask("PATCH", "/api/admin/organization", { plan: "business" });
  const workspace = admin.workspaces[0].id;
  const key = await ask("POST", "/api/admin/api-keys", { name: "CRM sync", scopes: ["leads:read", "leads:write", "campaigns:read"] });
  const old = await ask("POST", "/api/admin/api-keys", { name: "Spreadsheet import", scopes: ["leads:write"], mode: "test" });
  await ask("POST", "/api/admin/api-keys", { name: "Nightly report", expires_at: new Date(Date.now() + 5 * 86400e3).toISOString(), scopes: ["analytics:read"] });
  const inbox = `http://127.0.0.1:${platform.port}/_local/inbox`;
  const good = await ask("POST", "/api/admin/webhooks", { url: `${inbox}/crm`, events: ["*"], description: "CRM" });
  const bad = await ask("POST", "/api/admin/webhooks", { url: `http://127.0.0.1:${platform.port + 1}/nobody`, events: ["lead.created"], max_retries: 0, description: "Takes nothing" });
  const byKey = (method, path, body) => api(platform, key.key, method, path, body, { "X-Workspace-Id": workspace });
  const campaign = await ask("POST", "/v1/campaigns", { name: "Spring outreach", goal: "Thirty meetings", description: "To everybody who asked last year." });
  await ask("POST", `/v1/campaigns/${campaign.id}/start`);
  const people = [["Ada", "Lovelace"], ["Charles", "Babbage"], ["Mary", "Somerville"], ["<b>Bold</b>", "\"><script>alert(1)</script>"]];
  const leads = [];
  for (const [first_name, last_name] of people) {
    leads.push(await byKey("POST", "/v1/leads", {
      email: `${first_name.replace(/\W/g, "")}@example.com`.toLowerCase(), first_name, last_name, company: "Difference & Sons", title: "Engineer", custom: { score: 42 },
    }));
  }
  const lead = leads[0];
  await ask("POST", `/v1/leads/${lead.id}/replies`, { message: "Tell me more." });
  const meeting = await ask("POST", "/v1/meetings", {
    lead_id: lead.id, starts_at: new Date(Date.now() + 86400e3).toISOString(), ends_at: new Date(Date.now() + 90000e3).toISOString(), location: "Room 3",
  });
  const rotated = await ask("POST", `/api/admin/api-keys/${old.id}/rotate`, { grace_seconds: 86400 });
  const member = await join(platform, admin, `member-${email}`, "member", workspace);
  const manager = await join(platform, admin, `manager-${email}`, "manager", workspace);
  const reader = await join(platform, admin, `reader-${email}`, "read_only");
  await ask("POST", "/api/admin/invitations", { email: `later-${email}`, role: "read_only" });
  await ask("POST", "/api/admin/domains", { domain: "engines.example" });
  const deliveries = await until("deliveries", async () => {
    const well = await ask("GET", `/api/admin/webhooks/${good.id}/deliveries`);
    const ill = await ask("GET", `/api/admin/webhooks/${bad.id}/deliveries?status=dead`);
    return well.data.some(({ status }) => status === "succeeded") && ill.data.length >= people.length && { well: well.data, ill: ill.data };
  });
  const replay = await ask("POST", `/api/admin/webhooks/${good.id}/replay`, { since: new Date(Date.now() - 3600e3).toISOString(), statuses: ["succeeded"] });
  const exported = await ask("POST", "/api/admin/audit-logs/exports", { format: "csv" });
  const records = await ask("GET", "/api/admin/audit-logs?limit=100");
  const record = records.data.find(({ changes }) => changes.length > 0) ?? records.data[0];
  return {
    name, admin, member, manager, reader, ask, workspace, key, rotated, good, bad, campaign, lead, meeting, replay, exported, record,
    delivery: deliveries.well.find(({ status }) => status === "succeeded"),
    dead: deliveries.ill[0],
  };
}

/** The pages of a furnished tenant, with short names. */
export function inside(it) {
  const w = `/console/w/${it.workspace}`;
  return [
    ["overview", "/console"],
    ["overview-30d", "/console?span=30d"],
    ["keys", "/console/keys"],
    ["keys-search", "/console/keys?search=nothing+like+it"],
    ["key-new", "/console/keys/new"],
    ["key", `/console/keys/${it.key.id}`],
    ["key-rotate", `/console/keys/${it.key.id}/rotate`],
    ["key-revoke", `/console/keys/${it.key.id}/revoke`],
    ["webhooks", "/console/webhooks"],
    ["webhooks-search", "/console/webhooks?search=crm"],
    ["webhook-new", "/console/webhooks/new"],
    ["webhook", `/console/webhooks/${it.good.id}`],
    ["webhook-failing", `/console/webhooks/${it.bad.id}`],
    ["webhook-failures", `/console/webhooks/${it.bad.id}/failures`],
    ["webhook-settings", `/console/webhooks/${it.good.id}/settings`],
    ["webhook-test", `/console/webhooks/${it.good.id}/test`],
    ["webhook-secret", `/console/webhooks/${it.good.id}/secret`],
    ["webhook-disable", `/console/webhooks/${it.good.id}/disable`],
    ["webhook-delete", `/console/webhooks/${it.good.id}/delete`],
    ["webhook-replay", `/console/webhooks/${it.good.id}/replay`],
    ["replay", `/console/replays/${it.replay.id}`],
    ["delivery", `/console/deliveries/${it.delivery.id}`],
    ["delivery-dead", `/console/deliveries/${it.dead.id}`],
    ["dead-letters", "/console/dead-letters"],
    ["redrive", `/console/dead-letters/redrive?delivery=${it.dead.id}`],
    ["events", "/console/events"],
    ["event", `/console/events/${it.delivery.event_id}`],
    ["audit", "/console/audit"],
    ["audit-record", `/console/audit/${it.record.id}`],
    ["audit-exports", "/console/audit/exports"],
    ["audit-export-new", "/console/audit/exports/new"],
    ["audit-export", `/console/audit/exports/${it.exported.id}`],
    ["find-nothing", "/console/find"],
    ["find-delivery", `/console/find?id=${it.delivery.id}`],
    ["find-lead", `/console/find?id=${it.lead.id}`],
    ["campaigns", `${w}/campaigns`],
    ["campaign-new", `${w}/campaigns/new`],
    ["campaign", `${w}/campaigns/${it.campaign.id}`],
    ["leads", `${w}/leads`],
    ["lead-new", `${w}/leads/new`],
    ["lead", `${w}/leads/${it.lead.id}`],
    ["meetings", `${w}/meetings`],
    ["meeting-new", `${w}/meetings/new`],
    ["meeting", `${w}/meetings/${it.meeting.id}`],
    ["people", "/console/people"],
    ["people-search", "/console/people?search=engines"],
    ["person", `/console/people/${it.member.user.id}`],
    ["person-remove", `/console/people/${it.member.user.id}/remove`],
    ["invitations", "/console/people/invitations"],
    ["invite", "/console/people/invitations/new"],
    ["roles", "/console/people/roles"],
    ["workspaces", "/console/workspaces"],
    ["workspace", `/console/workspaces/${it.workspace}`],
    ["workspace-new", "/console/workspaces/new"],
    ["workspace-delete", `/console/workspaces/${it.workspace}/delete`],
    ["workspace-add", `/console/workspaces/${it.workspace}/members/new`],
    ["workspace-person", `/console/workspaces/${it.workspace}/members/${it.member.user.id}`],
    ["settings", "/console/settings"],
    ["settings-domains", "/console/settings/domains"],
    ["settings-domain", "/console/settings/domains/engines.example"],
    ["settings-domain-delete", "/console/settings/domains/engines.example/delete"],
    ["settings-sso", "/console/settings/sso"],
    ["settings-security", "/console/settings/security"],
    ["settings-origins", "/console/settings/origins"],
    ["settings-privacy", "/console/settings/privacy"],
    ["settings-erase", `/console/settings/privacy/erase?person=${it.lead.email}`],
    ["settings-danger", "/console/settings/danger"],
    ["settings-delete", "/console/settings/danger/delete"],
    ["profile", "/console/profile"],
    ["second-factor", "/console/profile/second-factor"],
    ["not-found", "/console/nowhere"],
  ];
}
