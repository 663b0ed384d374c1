"""The samples in docs/samples, each run as its first lines say, against a running platform.

Each is run three times: as it is; through a proxy that refuses, loses answers and is slow to start, as a busy service
does; and with a key whose budget is too small. What it printed is compared with what the API says afterwards.

    python3 samples.py http://127.0.0.1:8020 path/to/sample-leads
"""

import http.client
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs/samples"
DEADLINE_SECONDS = 120
BUDGET = 200


class Api:
    """As much of an HTTP client as is needed here."""

    def __init__(self, base, token=None):
        self.base = base
        self.token = token

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method, headers={"content-type": "application/json"})
        if self.token:
            request.add_header("authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path} answered {error.code}: {error.read().decode(errors='replace')}") from None

    def leads(self):
        leads, cursor = [], None
        while True:
            page = self.call("GET", "/v1/leads?limit=100" + (f"&cursor={cursor}" if cursor else ""))
            leads += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return leads


class Proxy:
    """Stands between a sample and the platform, and does to the first requests what `plan` says, one after the other.

    A number is the status of a refusal that asks to come back after a second; `lose` sends the request on and closes the
    connection in place of answering; `pass` does nothing.
    """

    def __init__(self, base, plan):
        target = urllib.parse.urlsplit(base).netloc
        self.plan = list(plan)
        self.seen = []
        lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with lock:
                    proxy.seen.append((time.monotonic(), self.command, self.path, self.headers.get("idempotency-key")))
                    step = proxy.plan.pop(0) if proxy.plan else "pass"
                if isinstance(step, int):
                    code = {429: "rate_limited", 503: "unavailable"}[step]
                    self.answer(step, {"Retry-After": "1", "Content-Type": "application/problem+json"},
                                json.dumps({"status": step, "code": code}).encode())
                    return
                onward = http.client.HTTPConnection(target, timeout=30)
                onward.request(self.command, self.path, body, {name: value for name, value in self.headers.items()
                               if name.lower() not in ("host", "connection", "content-length")})
                answer = onward.getresponse()
                content = answer.read()
                onward.close()
                if step == "lose":
                    self.close_connection = True
                    return
                self.answer(answer.status, {name: value for name, value in answer.getheaders()
                            if name.lower() not in ("connection", "content-length", "date")}, content)

            def answer(self, status, headers, content):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = handle_one

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def check(condition, promise, told=""):
    print(("ok    " if condition else "WRONG ") + promise)
    if not condition:
        print(told)
        raise SystemExit(1)


def run(command, url, key, email):
    environment = {**os.environ, "ARTISAN_URL": url, "ARTISAN_API_KEY": key}
    done = subprocess.run([*command, email], env=environment, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    told = done.stdout + done.stderr
    if key in told:
        raise SystemExit("a sample printed its key")
    return done.returncode, done.stdout, told


def printed(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found.groups() if found else ()


def as_it_is(name, command, base, api, key):
    email = f"{name}@example.com"
    status, out, told = run(command, base, key["key"], email)
    check(status == 0, f"{name}: ends well", told)
    whose = printed(r"^(key_\S+) acts for (org_\S+), mode test, scopes leads:read leads:write$", out)
    check(whose == (key["id"], api.call("GET", "/v1/whoami")["organization_id"]), f"{name}: says whose key it is", told)
    leads = api.leads()
    own = [lead["id"] for lead in leads if lead["email"] == email]
    check(len(own) == 1, f"{name}: made one lead by two requests with one Idempotency-Key", told)
    check(printed(r"^lead (\S+)$", out) == (own[0],), f"{name}: names it", told)
    check(printed(r"^again (\S+), replayed: (\S+)$", out) == (own[0], "true"), f"{name}: sees that it was replayed", told)
    pages = -(-len(leads) // 3)
    check(pages > 1, f"{name}: there is more than one page")
    check(printed(r"^(\d+) leads on (\d+) pages$", out) == (str(len(leads)), str(pages)), f"{name}: reads all pages", told)
    left = printed(r"^(\d+) requests left, more in \d+ s$", out)
    check(len(left) == 1 and 0 < int(left[0]) < BUDGET, f"{name}: says what is left of the limit", told)
    problem = printed(r"^422 (\w+): (.+)\n  (\S+) \((\w+)\): (.+)\n  request (req_\S+)$", out)
    check(problem[:1] + problem[2:4] == ("invalid", "/email", "format"), f"{name}: tells what was refused and why", told)


def through_a_busy_service(name, command, base, api, key):
    email = f"{name}.busy@example.com"
    proxy = Proxy(base, [429, 503, "pass", "lose", 429])
    try:
        status, out, told = run(command, proxy.url, key["key"], email)
    finally:
        proxy.stop()
    check(status == 0, f"{name}: ends well although it was refused three times and one answer was lost", told)
    own = [lead["id"] for lead in api.leads() if lead["email"] == email]
    check(len(own) == 1, f"{name}: made one lead although it did not hear of it the first time", told)
    check(printed(r"^lead (\S+)$", out) == (own[0],), f"{name}: names it", told)
    requests = [request[1:] for request in proxy.seen[:6]]
    create = ("POST", "/v1/leads", f"import-{email}")
    asks = all(method == "GET" and path.split("?")[0] == "/v1/whoami" for method, path, _ in requests[:3])
    check(asks and requests[3:6] == [create] * 3, f"{name}: repeated what was refused, with the same Idempotency-Key", told)
    times = [request[0] for request in proxy.seen]
    waits = [times[1] - times[0], times[2] - times[1], times[5] - times[4]]
    check(all(1 <= wait < 15 for wait in waits), f"{name}: waited as long as it was asked to", f"{waits}")


def out_of_budget(name, command, base, key):
    started = time.monotonic()
    status, out, told = run(command, base, key["key"], f"{name}.late@example.com")
    check(status == 1, f"{name}: gives up when it would have to wait for most of an hour", told)
    check(time.monotonic() - started < 15, f"{name}: does so at once")
    check(bool(printed(r"^(429) rate_limited: Try again in \d+ seconds\.$", told)), f"{name}: says why", told)
    check(bool(printed(r"^  request (req_\S+)$", told)), f"{name}: names the request", told)


def main(base, rust):
    samples = {
        "curl": [str(SAMPLES / "curl/leads.sh")],
        "python": [sys.executable, str(SAMPLES / "python/leads.py")],
        "typescript": ["node", str(SAMPLES / "typescript/leads.ts")],
        "rust": [rust],
    }
    person = {
        "organization_name": "Samples",
        "name": "Ada Lovelace",
        "email": f"ada-{uuid.uuid4().hex}@example.com",
        "password": f"a difference engine of brass {uuid.uuid4().hex}",
    }
    admin = Api(base, Api(base).call("POST", "/api/auth/signup", person)["access_token"])

    def make_key(budget):
        scopes = ["leads:read", "leads:write"]
        asked = {"name": "samples", "mode": "test", "scopes": scopes, "rate_limit_per_hour": budget}
        return admin.call("POST", "/api/admin/api-keys", asked)

    key = make_key(BUDGET)
    api = Api(base, make_key(1000)["key"])
    for number in range(4):
        api.call("POST", "/v1/leads", {"email": f"already.there.{number}@example.com"})
    for name, command in samples.items():
        as_it_is(name, command, base, api, key)
        through_a_busy_service(name, command, base, api, key)
        out_of_budget(name, command, base, make_key(2))
    emails = [lead["email"] for lead in api.leads()]
    # Of the third run, the lead was made before the budget was spent.
    expected = 4 + 3 * len(samples)
    check(len(emails) == len(set(emails)) == expected, "there are exactly as many leads as there should be", f"{emails}")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2])
