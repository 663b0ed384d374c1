"""Interoperability: what a customer's own receiver sees, judged by code that is not ours.

Drives a running platform over HTTP from sign-up to a lead's reply, receives the webhooks, and verifies them with the
`standardwebhooks` package and with two lines of the standard library's `hmac`. A forged body must fail with both.

    python3 interop.py http://127.0.0.1:8010
"""

import base64
import hashlib
import hmac
import http.server
import json
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

from standardwebhooks import Webhook, WebhookVerificationError

DEADLINE_SECONDS = 60


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


def check(condition, promise):
    print(("ok    " if condition else "WRONG ") + promise)
    if not condition:
        raise SystemExit(1)


def main(base):
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


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
