// A certified OpenID provider, which is not of our making, as a process of a test's own.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { ended } from "./platform.mjs";

const PROGRAM = new URL("../../acceptance/oidc-provider/provider.mjs", import.meta.url).pathname;

/** Starts it, for one client of a platform. It asks who somebody is, and believes it. */
export async function startProvider(platform) {
  const client = { client_id: "artisan", client_secret: "a secret of sixteen words and more, as it were" };
  const child = spawn(
    process.execPath,
    [
      PROGRAM,
      ...["--client-id", client.client_id, "--client-secret", client.client_secret],
      ...["--redirect-uri", `${platform.url}/api/auth/sso/callback`],
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  // Without a line it has ended, and its output with it.
  const { value: line } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  if (line === undefined) {
    await ended(child, () => child.kill());
    throw new Error("the identity provider did not start");
  }
  const stop = () => ended(child, () => child.stdin.end());
  return { ...client, issuer: line.replace("ready ", ""), stop };
}
