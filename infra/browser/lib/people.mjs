// What people do on many of the pages.

import { linkIn, mailTo } from "./platform.mjs";

export const PASSWORD = "a difference engine of brass";

/** Signs in by the form. */
export async function signIn(page, { email, password = PASSWORD }) {
  await page.goto("/console/sign-in");
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL(/\/console(\/sign-in\/code.*|\/prove.*|\?.*)?$/);
}

/** Asks the API as somebody who has signed up: for what is not the subject of a test. */
export async function api(platform, token, method, path, body, headers = {}) {
  const response = await fetch(`${platform.url}${path}`, {
    method,
    headers: {
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(body ? { "Content-Type": "application/json" } : {}),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** Signs an organization up, with a confirmed address. */
export async function signUp(platform, name, email) {
  const session = await api(platform, null, "POST", "/api/auth/signup", {
    organization_name: name,
    name: `Admin of ${name}`,
    email,
    password: PASSWORD,
  });
  const link = linkIn(await mailTo(platform, email, /token=/));
  const token = new URL(link).searchParams.get("token");
  await api(platform, session.access_token, "POST", "/api/auth/email/confirm", { token });
  return { ...session, email };
}

/** Has somebody join with a role, as an admin invites them. */
export async function join(platform, admin, email, role, workspace_id) {
  await api(platform, admin.access_token, "POST", "/api/admin/invitations", { email, role, ...(workspace_id ? { workspace_id } : {}) });
  const token = new URL(linkIn(await mailTo(platform, email, /token=/))).searchParams.get("token");
  const session = await api(platform, null, "POST", "/api/auth/invitations/accept", { token, name: email.split("@")[0], password: PASSWORD });
  return { ...session, email };
}
