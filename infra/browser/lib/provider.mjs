// A certified OpenID provider, which is not of our making, as a process of a test's own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

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
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const stop = async () => {
    const ended = once(child, "exit");
    child.stdin.end();
    await ended;
  };
  return { ...client, issuer: line.replace("ready ", ""), stop };
}
