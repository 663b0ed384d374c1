// Uses an Artisan API key: asks whose it is, creates a lead in a way that can be repeated, reads all leads page by page.
//
//     ARTISAN_URL=https://api.example.com ARTISAN_API_KEY=sk_test_… node leads.ts grace@example.com
//
// Needs Node.js 22.18 or newer, and nothing else (22.6 with --experimental-strip-types).

const TRIES = 5;
const LONGEST_WAIT_SECONDS = 60;
const TIMEOUT_MS = 35_000;

/** The body of a refusal: application/problem+json, RFC 9457. */
interface ProblemBody {
  code?: string;
  detail?: string;
  request_id?: string;
  permission?: string;
  errors?: { pointer: string; code: string; message: string }[];
}

class Problem extends Error {
  readonly status: number;
  readonly body: ProblemBody;

  constructor(status: number, body: ProblemBody) {
    // `code` never changes and is what a program looks at; `request_id` is what support asks for.
    const lines = [`${status} ${body.code ?? "unknown"}: ${body.detail ?? "no detail"}`];
    for (const it of body.errors ?? []) lines.push(`  ${it.pointer} (${it.code}): ${it.message}`);
    if (body.permission) lines.push(`  the key lacks the scope ${body.permission}`);
    lines.push(`  request ${body.request_id ?? "unknown"}`);
    super(lines.join("\n"));
    this.status = status;
    this.body = body;
  }
}

interface Answer<T> {
  body: T;
  headers: Headers;
}

class Artisan {
  readonly #url: string;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.#url = url.replace(/\/+$/, "");
    this.#key = key;
  }

  get<T>(path: string, query: Record<string, string> = {}): Promise<Answer<T>> {
    return this.#call<T>(`${path}?${new URLSearchParams(query)}`, { method: "GET" });
  }

  post<T>(path: string, body: unknown, idempotencyKey: string): Promise<Answer<T>> {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
    return this.#call<T>(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /**
   * The answer, or Problem.
   *
   * Sends the request again after the time that the answer asks for, and when there was no answer. That is safe for a
   * GET and for a POST with an Idempotency-Key, so there is no other way to POST here.
   */
  async #call<T>(path: string, request: RequestInit): Promise<Answer<T>> {
    const headers = { ...request.headers, Authorization: `Bearer ${this.#key}` };
    for (let attempt = 1; ; attempt++) {
      let wait = 2 ** attempt;
      try {
        // The API never redirects, and whoever did would be sent the key.
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const answer = await fetch(this.#url + path, { ...request, headers, redirect: "error", signal });
        if (answer.ok) return { body: (await answer.json()) as T, headers: answer.headers };
        // A proxy on the way may answer with something else than JSON.
        const body = (await answer.json().catch(() => ({}))) as ProblemBody;
        const problem = new Problem(answer.status, body);
        // 429, 503, and 409 while the first request with this Idempotency-Key is still running.
        const asked = answer.headers.get("Retry-After");
        if (asked === null && answer.status !== 429 && answer.status !== 503) throw problem;
        if (asked !== null && /^\d+$/.test(asked)) wait = Number(asked);
        if (attempt === TRIES || wait > LONGEST_WAIT_SECONDS) throw problem;
      } catch (error) {
        if (error instanceof Problem || attempt === TRIES) throw error;
      }
      // Up to a second more, so that programs that were sent away together do not come back together.
      await new Promise((resolve) => setTimeout(resolve, (wait + Math.random()) * 1000));
    }
  }
}

interface WhoAmI {
  id: string;
  organization_id: string;
  mode: "live" | "test";
  scopes: string[];
}

interface Lead {
  id: string;
  email: string;
}

interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

async function main(email: string): Promise<void> {
  const artisan = new Artisan(fromEnvironment("ARTISAN_URL"), fromEnvironment("ARTISAN_API_KEY"));

  const { body: me } = await artisan.get<WhoAmI>("/v1/whoami");
  console.log(`${me.id} acts for ${me.organization_id}, mode ${me.mode}, scopes ${me.scopes.join(" ")}`);

  // The key is named after what the request is about, so that a program that crashed and starts over sends the same one.
  // A random one does as well if it is stored before the request is sent. It is remembered for 24 hours.
  const lead = { email, custom: { source: "import" } };
  const created = await artisan.post<Lead>("/v1/leads", lead, `import-${email}`);
  console.log(`lead ${created.body.id}`);
  // Once more, as a program does that does not know whether the first request arrived.
  const again = await artisan.post<Lead>("/v1/leads", lead, `import-${email}`);
  console.log(`again ${again.body.id}, replayed: ${again.headers.get("Idempotency-Replayed") ?? "false"}`);

  // A page of three shows how paging works; 100 is the most, and what a program should ask for.
  const leads: Lead[] = [];
  let pages = 0;
  let cursor: string | null = null;
  let rateLimit = "";
  do {
    const query: Record<string, string> = cursor === null ? { limit: "3" } : { limit: "3", cursor };
    const page: Answer<Page<Lead>> = await artisan.get<Page<Lead>>("/v1/leads", query);
    leads.push(...page.body.data);
    pages += 1;
    cursor = page.body.next_cursor;
    rateLimit = page.headers.get("RateLimit") ?? "";
  } while (cursor !== null);
  console.log(`${leads.length} leads on ${pages} pages`);

  // "hourly";r=42;t=3540: 42 requests are left, and in 3540 seconds there are more again.
  const left = /;r=(\d+);t=(\d+)/.exec(rateLimit);
  if (left) console.log(`${left[1]} requests left, more in ${left[2]} s`);

  // And this is what a refusal looks like.
  try {
    await artisan.post<Lead>("/v1/leads", { email: "not an address" }, `refused-${email}`);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    console.log(error.message);
  }
}

main(process.argv[2] ?? "grace@example.com").catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
