// A local platform of a test's own: started on free ports with a directory of its own, ended with the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = new URL("../../..", import.meta.url).pathname;

const hasEnded = (child) => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

/** Waits until a process has ended that is asked to; it is killed when it does not. */
export async function ended(child, ask) {
  if (hasEnded(child)) return;
  const exit = once(child, "exit");
  ask();
  const patience = setTimeout(() => child.kill("SIGKILL"), 15_000);
  await exit.finally(() => clearTimeout(patience));
}

/**
 * Starts a platform and waits until it serves. `ARTISAN_LOCAL` names the program; `environment` is given to it, as
 * WEBHOOK_RETRY_BASE_SECONDS.
 */
export async function startPlatform({ demo = false, environment = {} } = {}) {
  const data = await mkdtemp(join(tmpdir(), "artisan-browser-"));
  const program = process.env.ARTISAN_LOCAL ?? join(ROOT, "target/debug/artisan-local");
  const options = ["--port", "0", "--data-dir", data, ...(demo ? ["--demo"] : [])];
  const child = spawn(program, options, {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (said += text));
  let failed;
  child.once("error", (error) => (failed = error));
  const stop = async () => {
    await ended(child, () => child.kill("SIGTERM"));
    await rm(data, { recursive: true, force: true });
  };
  const deadline = Date.now() + (demo ? 240_000 : 60_000);
  while (!said.includes("Ctrl-C stops it")) {
    if (failed || hasEnded(child) || Date.now() > deadline) {
      await stop();
      throw new Error(`the platform did not start: ${failed ?? said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { url, port } = said.match(/API\s+(?<url>http:\/\/localhost:(?<port>\d+))\s/).groups;
  const credentials = (title) => {
    const found = said.match(new RegExp(`${title}[^]*?E-mail\\s+(\\S+)\\s+Password\\s+(\\S+)`));
    return found && { email: found[1], password: found[2] };
  };
  return { url, port: Number(port), stop, administrator: credentials("First administrator"), sample: credentials("Sample tenant") };
}

/** The newest mail to an address whose text a pattern is found in; waits for it. */
export async function mailTo(platform, address, pattern = /./) {
  return until(`a mail to ${address}`, async () => {
    const response = await fetch(`${platform.url}/_local/mail`, { headers: { Accept: "application/json" } });
    const { data } = await response.json();
    return data.find((mail) => mail.to === address && pattern.test(mail.text));
  });
}

/** The link in a mail. */
export function linkIn(mail) {
  const found = mail.text.match(/https?:\/\/\S+/);
  if (!found) throw new Error(`no link in: ${mail.text}`);
  return found[0];
}

/** What `look` gives as soon as that is something. */
export async function until(what, look, patience = 30_000) {
  const deadline = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
