// How long the server takes for each page, for a tenant of 100,000 audit records and 10,000 deliveries. `--leads N` and
// `--looks N` say other numbers. Every lead that a key makes is one audit record; those of the first twentieth are sent to two
// endpoints, of which one takes nothing.

import { api, PASSWORD } from "./lib/people.mjs";
import { furnished, inside } from "./lib/places.mjs";
import { startPlatform } from "./lib/platform.mjs";

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const leads = option("leads", 100_000);
// A session has 5,000 requests an hour, and a page asks some four questions.
const looks = option("looks", 12);

/** Signs in as a browser does; gives what it sends with each request from then on. */
async function signedIn(platform, { email }) {
  const form = await fetch(`${platform.url}/console/sign-in`);
  const cookies = new Map();
  const keep = (response) => {
    for (const set of response.headers.getSetCookie()) cookies.set(...set.split(";")[0].split("=", 2));
    return [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  };
  const cookie = keep(form);
  const token = (await form.text()).match(/name="_form" value="([^"]+)"/)[1];
  const body = new URLSearchParams({ _form: token, email, password: PASSWORD });
  return keep(await fetch(`${platform.url}/console/sign-in`, { method: "POST", body, redirect: "manual", headers: { cookie } }));
}

const platform = await startPlatform();
try {
  const tenant = await furnished(platform);
  const { key } = await tenant.ask("POST", "/api/admin/api-keys", { name: "Load", scopes: ["leads:write"], rate_limit_per_hour: 1_000_000 });
  const began = Date.now();
  let made = 0;
  const work = async () => {
    while (made < leads) {
      made += 1;
      if (made === Math.ceil(leads / 20)) for (const { id } of [tenant.good, tenant.bad]) await tenant.ask("POST", `/api/admin/webhooks/${id}/disable`, {});
      await api(platform, key, "POST", "/v1/leads", { email: `lead-${made}@example.com` }, { "X-Workspace-Id": tenant.workspace });
    }
  };
  await Promise.all(Array.from({ length: 24 }, work));
  console.log(`${made} leads in ${Math.round((Date.now() - began) / 1000)} s`);
  const cookie = await signedIn(platform, tenant.admin);
  const all = [];
  for (const [name, path] of inside(tenant)) {
    const took = [];
    for (let look = 0; look < looks; look += 1) {
      const start = performance.now();
      const response = await fetch(`${platform.url}${path}`, { headers: { cookie } });
      if (response.status === 429) throw new Error(`${name}: the budget of the session is spent`);
      await response.arrayBuffer();
      took.push(performance.now() - start);
    }
    took.sort((a, b) => a - b);
    all.push(...took);
    const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))].toFixed(1).padStart(7);
    console.log(`${name.padEnd(20)} p50 ${at(0.5)} ms  p95 ${at(0.95)} ms`);
  }
  all.sort((a, b) => a - b);
  console.log(`${"all".padEnd(20)} p50 ${all[Math.floor(all.length * 0.5)].toFixed(1)} ms  p95 ${all[Math.floor(all.length * 0.95)].toFixed(1)} ms`);
} finally {
  await platform.stop();
}
