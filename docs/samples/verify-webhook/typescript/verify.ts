// Verifies a webhook from Artisan and handles its event once.
//
//     ARTISAN_WEBHOOK_SECRET=whsec_… node verify.ts WAY headers.txt body.json
//
// WAY is one of four; one is enough.
//
//     library   the standardwebhooks package, from npm
//     v1        the same with node:crypto
//     v1a       with the endpoint's public key, ARTISAN_WEBHOOK_PUBLIC_KEY=whpk_…
//     artisan   X-Artisan-Signature; does not notice that a webhook is an old one sent again
//
// The files are a request as it came: its headers, one `name: value` a line, and its body, byte for byte.
// Needs Node.js 22.18 or newer, which runs TypeScript as it is.

import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const TOLERANCE_SECONDS = 300;

interface WebhookEvent {
  id: string;
  event: string;
  timestamp: string;
  data: unknown;
}

/** Headers by their names in lower case, as node:http has them. */
type Headers = Record<string, string>;

/** Not from Artisan, changed on the way, or old. Answer 400, and do nothing else. */
class Refused extends Error {}

function verifyWithLibrary(secret: string, headers: Headers, body: Buffer): WebhookEvent {
  try {
    return new Webhook(secret).verify(body, headers) as WebhookEvent;
  } catch (error) {
    if (error instanceof WebhookVerificationError) throw new Refused(error.message);
    throw error;
  }
}

/** What Standard Webhooks signs, provided that it is recent. */
function signedText(headers: Headers, body: Buffer): Buffer {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (id === "" || !/^\d+$/.test(timestamp)) throw new Refused("it has no webhook-id or webhook-timestamp");
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) {
    throw new Refused("its timestamp is more than five minutes off");
  }
  return Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
}

/** Those of one scheme. There may be several: while a secret is being changed, one by the new and one by the old. */
function signatures(headers: Headers, scheme: string): Buffer[] {
  return (headers["webhook-signature"] ?? "")
    .split(" ")
    .filter((one) => one.startsWith(`${scheme},`))
    .map((one) => Buffer.from(one.slice(scheme.length + 1), "base64"));
}

function same(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function secretKey(secret: string): Buffer {
  return Buffer.from(secret.replace(/^whsec_/, ""), "base64");
}

function parse(body: Buffer): WebhookEvent {
  return JSON.parse(body.toString()) as WebhookEvent;
}

function verifyV1(secret: string, headers: Headers, body: Buffer): WebhookEvent {
  const expected = createHmac("sha256", secretKey(secret)).update(signedText(headers, body)).digest();
  if (!signatures(headers, "v1").some((one) => same(one, expected))) throw new Refused("no signature fits");
  return parse(body);
}

function verifyV1a(publicKey: string, headers: Headers, body: Buffer): WebhookEvent {
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const text = signedText(headers, body);
  const fits = signatures(headers, "v1a").some((one) => verifySignature(null, text, key, one));
  if (!fits) throw new Refused("no signature fits");
  return parse(body);
}

function verifyArtisan(secret: string, headers: Headers, body: Buffer): WebhookEvent {
  const expected = `sha256=${createHmac("sha256", secretKey(secret)).update(body).digest("hex")}`;
  if (!same(Buffer.from(headers["x-artisan-signature"] ?? ""), Buffer.from(expected))) {
    throw new Refused("the signature does not fit");
  }
  return parse(body);
}

/** In earnest, a table with a unique column: a program that starts again must know what it handled. */
const handled = new Set<string>();

/**
 * False if the event was handled before: a webhook may come more than once, with the same id each time.
 *
 * In a database, store the id in the same transaction as what the event leads to. So if that fails the id is not there
 * either, and the next attempt does it. The id in the body is signed in all four ways, and the same as webhook-id.
 */
function handleOnce(event: WebhookEvent): boolean {
  if (handled.has(event.id)) return false;
  console.log(`handled ${event.id} ${event.event}`); // What you do about the event.
  handled.add(event.id);
  return true;
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

function verify(way: string, headers: Headers, body: Buffer): WebhookEvent {
  switch (way) {
    case "library":
      return verifyWithLibrary(fromEnvironment("ARTISAN_WEBHOOK_SECRET"), headers, body);
    case "v1":
      return verifyV1(fromEnvironment("ARTISAN_WEBHOOK_SECRET"), headers, body);
    case "v1a":
      return verifyV1a(fromEnvironment("ARTISAN_WEBHOOK_PUBLIC_KEY"), headers, body);
    case "artisan":
      return verifyArtisan(fromEnvironment("ARTISAN_WEBHOOK_SECRET"), headers, body);
    default:
      throw new Error(`there is no way ${way}`);
  }
}

const [way = "", headersFile = "", bodyFile = ""] = process.argv.slice(2);
const headers: Headers = {};
for (const line of readFileSync(headersFile, "latin1").split(/\r?\n/)) {
  const colon = line.indexOf(":");
  if (colon > 0) headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
}

try {
  const event = verify(way, headers, readFileSync(bodyFile));
  handleOnce(event);
  // As if the same webhook came again. Answer 2xx to it too.
  if (!handleOnce(event)) console.log(`again ${event.id}: nothing to do`);
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(`refused: ${error.message}`);
  process.exitCode = 1;
}
