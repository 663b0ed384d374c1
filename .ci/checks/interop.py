"""Interoperability: what a customer's own receiver sees, judged by code that is not ours.

Drives a running platform over HTTP from sign-up to a lead's reply, receives the webhooks, and verifies them with the
`standardwebhooks` package, with two lines of the standard library's `hmac`, and with `cryptography` by the public key that
the endpoint shows. Then with each of the samples in docs/samples/verify-webhook, in every way it knows; one of them is
the library of its language. The secret is changed twice meanwhile: where the two overlap both must do, and where they
don't the new one alone. What is forged, old or signed by somebody else must be refused; what a platform can't be made to
send, being old, is signed by our own crate, through its example `sign`.

    python3 interop.py http://127.0.0.1:8010 path/to/sign path/to/sample-verify-webhook path/to/go-sample
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import queue
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

DEADLINE_SECONDS = 60
SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs/samples/verify-webhook"


class Receiver:
    """A customer's endpoint on a loopback port: keeps every request and answers 204."""

    def __init__(self):
        received = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                received.put((self.headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.received = received
        self.passed_over = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/artisan"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def await_event(self, event):
        """The next webhook of this type; others that come before it are for who asks for them."""
        for webhook in self.passed_over:
            if webhook[0]["X-Artisan-Event"] == event:
                self.passed_over.remove(webhook)
                return webhook
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                webhook = self.received.get(timeout=max(0.1, deadline - time.monotonic()))
            except queue.Empty:
                raise SystemExit(f"after {DEADLINE_SECONDS} s no {event} had arrived") from None
            if webhook[0]["X-Artisan-Event"] == event:
                return webhook
            self.passed_over.append(webhook)


class Api:
    """As much of an HTTP client as is needed here."""

    def __init__(self, base, token=None):
        self.base = base
        self.token = token

    def call(self, method, path, body=None, expect=(200, 201, 202)):
        request = urllib.request.Request(self.base + path, method=method, headers={"accept": "application/json"})
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        if method == "POST":
            request.add_header("idempotency-key", str(uuid.uuid4()))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        if status not in expect:
            raise SystemExit(f"{method} {path} answered {status}: {text.decode(errors='replace')}")
        return json.loads(text) if text else None


def standard_webhooks_accepts(secret, headers, body):
    try:
        Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    except WebhookVerificationError:
        return False
    return True


def artisan_signature_is_right(secret, headers, body):
    # The two lines that a receiver without a library needs.
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return hmac.compare_digest("sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(), headers["X-Artisan-Signature"])


def ed25519_accepts(public_key, headers, body):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers["webhook-signature"].split():
        if signature.startswith("v1a,"):
            try:
                key.verify(base64.b64decode(signature.removeprefix("v1a,")), signed)
            except InvalidSignature:
                continue
            return True
    return False


def check(condition, promise, told=""):
    print(("ok    " if condition else "WRONG ") + promise)
    if not condition:
        print(told)
        raise SystemExit(1)


class Sample:
    """A program that verifies a webhook, in each of the ways it knows."""

    def __init__(self, name, command, ways=("library", "v1", "v1a", "artisan")):
        self.name, self.command, self.ways = name, command, ways

    def accepts(self, way, webhook, secret, public_key):
        """Whether it handles the event, and once. Anything but that and a refusal ends the whole check."""
        headers, body = webhook
        with tempfile.TemporaryDirectory() as folder:
            headers_file, body_file = pathlib.Path(folder, "headers.txt"), pathlib.Path(folder, "body.json")
            headers_file.write_text("".join(f"{name}: {value}\r\n" for name, value in headers.items()), newline="")
            body_file.write_bytes(body)
            environment = {**os.environ, "ARTISAN_WEBHOOK_SECRET": secret, "ARTISAN_WEBHOOK_PUBLIC_KEY": public_key}
            command = [*self.command, way, str(headers_file), str(body_file)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
        if done.returncode == 1 and not done.stdout and done.stderr.startswith("refused: "):
            return False
        content = json.loads(body)
        told = f"handled {content['id']} {content['event']}\nagain {content['id']}: nothing to do\n"
        if (done.returncode, done.stdout, done.stderr) != (0, told, ""):
            raise SystemExit(f"{self.name} {way} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return True


def new_secret():
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def signed(signer, id, body, valid, age=0):
    """The headers that Artisan would send, and the public keys of two signing keys, newest first."""
    seeds = ["seed:" + base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2)]
    command = [signer, id, str(int(time.time()) - age), *valid, *seeds]
    done = subprocess.run(command, input=body, capture_output=True, check=True, timeout=DEADLINE_SECONDS)
    lines = [line.split(": ", 1) for line in done.stdout.decode().splitlines()]
    keys = [value for name, value in lines if name == "public-key"]
    return {name: value for name, value in lines if name != "public-key"}, keys


STANDARD = {"library", "v1", "v1a"}
ALL = STANDARD | {"artisan"}


def expect(sample, promise, accepting, webhook, secret, public_key):
    accepted = {way for way in sample.ways if sample.accepts(way, webhook, secret, public_key)}
    check(accepted == accepting & set(sample.ways), f"{sample.name}: {promise}", f"accepted by {sorted(accepted)}")


def check_forgeries(sample, webhook, signer):
    """What our crate signs as the platform does, and what somebody else could make of it."""
    (headers, body), secret = webhook, new_secret()
    id = headers["webhook-id"]
    fresh, (key, _) = signed(signer, id, body, [secret])
    forged = body.replace(b"Tuesday", b"Someday")
    expect(sample, "what our crate signed is verified", ALL, (fresh, body), secret, key)
    expect(sample, "a forged body is refused", set(), (fresh, forged), secret, key)
    expect(sample, "a forged id is refused", {"artisan"}, ({**fresh, "webhook-id": "evt_0"}, body), secret, key)
    unsigned = {name: value for name, value in fresh.items() if "signature" not in name}
    expect(sample, "no signature is refused", set(), (unsigned, body), secret, key)
    for age in (400, -400):
        headers, (key, _) = signed(signer, id, body, [secret], age)
        expect(sample, f"a timestamp that is {age} s old is refused", {"artisan"}, (headers, body), secret, key)


def check_platform(webhook, what, good, old, wrong):
    """Each of `good`, `old` and `wrong` is a secret and a public key; `old` may be None."""
    headers, body = webhook
    check(standard_webhooks_accepts(good[0], headers, body), f"{what}: standardwebhooks verifies it")
    check(artisan_signature_is_right(good[0], headers, body), f"{what}: X-Artisan-Signature verifies with hmac alone")
    check(ed25519_accepts(good[1], headers, body), f"{what}: the published key verifies v1a")
    if old:
        check(standard_webhooks_accepts(old[0], headers, body), f"{what}: standardwebhooks verifies it with the old secret")
        check(ed25519_accepts(old[1], headers, body), f"{what}: the old key verifies v1a")
    for secret, key in wrong:
        check(not standard_webhooks_accepts(secret, headers, body), f"{what}: another secret does not fit")
        check(not artisan_signature_is_right(secret, headers, body), f"{what}: nor by hmac alone")
        check(not ed25519_accepts(key, headers, body), f"{what}: another key does not fit")
    forged = body.replace(b'"', b"'", 1)
    check(not standard_webhooks_accepts(good[0], headers, forged), f"{what}: standardwebhooks refuses a forged body")
    check(not artisan_signature_is_right(good[0], headers, forged), f"{what}: hmac refuses a forged body")
    check(not ed25519_accepts(good[1], headers, forged), f"{what}: v1a refuses a forged body")


def main(base, signer, rust, go):
    samples = [
        Sample("python", [sys.executable, str(SAMPLES / "python/verify.py")]),
        Sample("typescript", ["node", str(SAMPLES / "typescript/verify.ts")]),
        Sample("rust", [rust]),
        Sample("go", [go]),
        Sample("openssl", [str(SAMPLES / "openssl/verify.sh")], ways=("v1", "v1a", "artisan")),
    ]
    receiver = Receiver()
    person = {
        "organization_name": "Interoperability",
        "name": "Ada Lovelace",
        "email": f"ada-{uuid.uuid4().hex}@example.com",
        "password": f"a difference engine of brass {uuid.uuid4().hex}",
    }
    admin = Api(base, Api(base).call("POST", "/api/auth/signup", person)["access_token"])
    path = "/api/admin/webhooks"
    asked = {"url": receiver.url, "events": ["lead.created", "lead.replied"], "signatures": ["v1", "v1a"]}
    endpoint = admin.call("POST", path, asked)
    first = (endpoint["secret"], endpoint["public_key"])
    elsewhere = admin.call("POST", path, {**asked, "url": receiver.url + "/elsewhere", "events": ["lead.qualified"]})
    foreign = (elsewhere["secret"], elsewhere["public_key"])
    scopes = ["campaigns:read", "campaigns:write", "leads:read", "leads:write"]
    key = admin.call("POST", "/api/admin/api-keys", {"name": "interoperability", "scopes": scopes})["key"]

    program = Api(base, key)
    campaign = program.call("POST", "/v1/campaigns", {"name": "Spring outreach"})
    lead = program.call("POST", "/v1/leads", {"email": "grace@example.com", "campaign_id": campaign["id"]})

    def replied():
        reply = {"message": "Tuesday suits me – café at ten? ☕", "channel": "email"}
        program.call("POST", f"/v1/leads/{lead['id']}/replies", reply)
        return receiver.await_event("lead.replied")

    created, webhook = receiver.await_event("lead.created"), replied()
    for event, (headers, body) in {"lead.created": created, "lead.replied": webhook}.items():
        content = json.loads(body)
        check(content["event"] == event, f"{event}: header and body name the same event")
        check(content["id"] == headers["webhook-id"], f"{event}: webhook-id is the event's id")
        check_platform((headers, body), event, first, None, [foreign])
    for sample in samples:
        expect(sample, "what the platform sent is verified", ALL, webhook, *first)
        expect(sample, "and by nobody else's secret and key", set(), webhook, *foreign)
        check_forgeries(sample, webhook, signer)

    def rotate(body):
        rotated = admin.call("POST", f"{path}/{endpoint['id']}/rotate-secret", body)
        return rotated, (rotated["secret"], rotated["public_key"])

    rotated, second = rotate({})
    check(rotated["previous_public_key"] == first[1], "a rotation shows the key that was replaced")
    check(len({*first, *second}) == 4, "a rotation replaces secret and key")
    webhook = replied()
    check_platform(webhook, "during a rotation", second, first, [foreign])
    for sample in samples:
        expect(sample, "during a rotation the new secret and key do", ALL, webhook, *second)
        expect(sample, "during a rotation the old secret and key do", STANDARD, webhook, *first)
        expect(sample, "during a rotation nobody else's do", set(), webhook, *foreign)

    rotated, third = rotate({"overlap_seconds": 0})
    check(rotated["previous_public_key"] is None, "a rotation without overlap leaves nothing behind")
    webhook = replied()
    check_platform(webhook, "after a rotation", third, None, [first, second, foreign])
    for sample in samples:
        expect(sample, "after a rotation the new secret and key do", ALL, webhook, *third)
        expect(sample, "after a rotation those before do not", set(), webhook, *second)


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), *sys.argv[2:])
