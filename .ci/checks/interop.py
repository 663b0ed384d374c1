"""Interoperability: what a customer's own receiver sees, judged by code that is not ours.

Drives a running platform over HTTP from sign-up to a lead's reply, receives the webhooks, and verifies them with the
`standardwebhooks` package and with two lines of the standard library's `hmac`. Then with each of the samples in
docs/samples/verify-webhook, in every way it knows; one of them is the library of its language. What is forged, old or
signed by somebody else must be refused, and while a secret is being changed both the new and the old one must do. What a
platform can't be made to send in a few seconds is signed by our own crate, through its example `sign`.

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
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks/artisan"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


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


def check_sample(sample, webhook, secret, signer):
    """`webhook` is one that the platform sent to an endpoint with this secret."""
    (headers, body), ways = webhook, set(sample.ways)
    id = headers["webhook-id"]

    def expect(promise, accepting, webhook, secret, public_key):
        accepted = {way for way in sample.ways if sample.accepts(way, webhook, secret, public_key)}
        check(accepted == accepting & ways, f"{sample.name}: {promise}", f"accepted by {sorted(accepted)}")

    fresh, (key, old_key) = signed(signer, id, body, [secret])
    forged = body.replace(b"Tuesday", b"Someday")
    standard = {"library", "v1"}
    expect("what the platform sent is verified", standard | {"artisan"}, webhook, secret, key)
    expect("and by no other secret", set(), webhook, new_secret(), key)
    expect("what our crate signed is verified", standard | {"v1a", "artisan"}, (fresh, body), secret, key)
    expect("a forged body is refused", set(), (fresh, forged), secret, key)
    expect("a forged id is refused", {"artisan"}, ({**fresh, "webhook-id": "evt_0"}, body), secret, key)
    unsigned = {name: value for name, value in fresh.items() if "signature" not in name}
    expect("no signature is refused", set(), (unsigned, body), secret, key)
    for age in (400, -400):
        headers, (key, _) = signed(signer, id, body, [secret], age)
        expect(f"a timestamp that is {age} s old is refused", {"artisan"}, (headers, body), secret, key)

    newer = new_secret()
    headers, (key, old_key) = signed(signer, id, body, [newer, secret])
    rotated = (headers, body)
    expect("during a rotation the new secret and key do", standard | {"v1a", "artisan"}, rotated, newer, key)
    expect("during a rotation the old secret and key do", standard | {"v1a"}, rotated, secret, old_key)


def main(base, signer, rust, go):
    receiver = Receiver()
    person = {
        "organization_name": "Interoperability",
        "name": "Ada Lovelace",
        "email": f"ada-{uuid.uuid4().hex}@example.com",
        "password": f"a difference engine of brass {uuid.uuid4().hex}",
    }
    admin = Api(base, Api(base).call("POST", "/api/auth/signup", person)["access_token"])
    endpoint = admin.call("POST", "/api/admin/webhooks", {"url": receiver.url, "events": ["lead.created", "lead.replied"]})
    secret = endpoint["secret"]
    scopes = ["campaigns:read", "campaigns:write", "leads:read", "leads:write"]
    key = admin.call("POST", "/api/admin/api-keys", {"name": "interoperability", "scopes": scopes})["key"]

    program = Api(base, key)
    campaign = program.call("POST", "/v1/campaigns", {"name": "Spring outreach"})
    lead = program.call("POST", "/v1/leads", {"email": "grace@example.com", "campaign_id": campaign["id"]})
    reply = {"message": "Tuesday suits me – café at ten? ☕", "channel": "email"}
    program.call("POST", f"/v1/leads/{lead['id']}/replies", reply)

    deliveries = {}
    deadline = time.monotonic() + DEADLINE_SECONDS
    while set(deliveries) != {"lead.created", "lead.replied"}:
        try:
            headers, body = receiver.received.get(timeout=max(0.1, deadline - time.monotonic()))
        except queue.Empty:
            raise SystemExit(f"after {DEADLINE_SECONDS} s only {sorted(deliveries)} had arrived") from None
        deliveries[headers["X-Artisan-Event"]] = (headers, body)

    for event, (headers, body) in sorted(deliveries.items()):
        content = json.loads(body)
        forged = body.replace(b'"', b"'", 1)
        other = "whsec_" + "A" * 43 + "="
        check(content["event"] == event, f"{event}: header and body name the same event")
        check(content["id"] == headers["webhook-id"], f"{event}: webhook-id is the event's id")
        check(standard_webhooks_accepts(secret, headers, body), f"{event}: standardwebhooks verifies it")
        check(artisan_signature_is_right(secret, headers, body), f"{event}: X-Artisan-Signature verifies with hmac alone")
        check(not standard_webhooks_accepts(secret, headers, forged), f"{event}: standardwebhooks refuses a forged body")
        check(not artisan_signature_is_right(secret, headers, forged), f"{event}: hmac refuses a forged body")
        check(not standard_webhooks_accepts(other, headers, body), f"{event}: another endpoint's secret does not fit")

    samples = [
        Sample("python", [sys.executable, str(SAMPLES / "python/verify.py")]),
        Sample("typescript", ["node", str(SAMPLES / "typescript/verify.ts")]),
        Sample("rust", [rust]),
        Sample("go", [go]),
        Sample("openssl", [str(SAMPLES / "openssl/verify.sh")], ways=("v1", "v1a", "artisan")),
    ]
    for sample in samples:
        check_sample(sample, deliveries["lead.replied"], secret, signer)


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), *sys.argv[2:])
