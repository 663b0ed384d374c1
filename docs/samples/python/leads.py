#!/usr/bin/env python3
"""Uses an Artisan API key: asks whose it is, creates a lead in a way that can be repeated, reads all leads page by page.

    ARTISAN_URL=https://api.example.com ARTISAN_API_KEY=sk_test_… python3 leads.py grace@example.com

Needs Python 3.10 or newer, and nothing else.
"""

import http.client
import json
import os
import random
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TRIES = 5
LONGEST_WAIT_SECONDS = 60
TIMEOUT_SECONDS = 35


class Problem(Exception):
    """A refusal: application/problem+json, RFC 9457."""

    def __init__(self, status, content):
        self.status = status
        # A proxy on the way may answer with something else than JSON.
        try:
            self.content = json.loads(content)
        except ValueError:
            self.content = {}

    def __str__(self):
        # `code` never changes and is what a program looks at; `request_id` is what support asks for.
        told = self.content
        lines = [f"{self.status} {told.get('code', 'unknown')}: {told.get('detail', 'no detail')}"]
        lines += [f"  {it['pointer']} ({it['code']}): {it['message']}" for it in told.get("errors", [])]
        if "permission" in told:
            lines.append(f"  the key lacks the scope {told['permission']}")
        lines.append(f"  request {told.get('request_id', 'unknown')}")
        return "\n".join(lines)


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """The API never redirects, and whoever did would be sent the key."""

    def redirect_request(self, *_):
        return None


class Artisan:
    def __init__(self, url, key):
        self.url = url.rstrip("/")
        self.key = key
        self.http = urllib.request.build_opener(NoRedirects)

    def get(self, path, **query):
        return self._call("GET", path + "?" + urllib.parse.urlencode(query))

    def post(self, path, body, idempotency_key):
        return self._call("POST", path, body, {"Idempotency-Key": idempotency_key})

    def _call(self, method, path, body=None, headers=None):
        """The answer's JSON and headers, or Problem.

        Sends the request again after the time that the answer asks for, and when there was no answer. That is safe for
        a GET and for a POST with an Idempotency-Key, so there is no other way to POST here.
        """
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(1, TRIES + 1):
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with self.http.open(request, timeout=TIMEOUT_SECONDS) as answer:
                    return json.load(answer), answer.headers
            except urllib.error.HTTPError as refusal:
                asked = refusal.headers.get("Retry-After", "")
                problem = Problem(refusal.code, refusal.read())
                # 429, 503, and 409 while the first request with this Idempotency-Key is still running.
                if not asked and refusal.code not in (429, 503):
                    raise problem from None
                wait = int(asked) if asked.isdigit() else 2**attempt
                if attempt == TRIES or wait > LONGEST_WAIT_SECONDS:
                    raise problem from None
            except (OSError, http.client.HTTPException):
                if attempt == TRIES:
                    raise
                wait = 2**attempt
            # Up to a second more, so that programs that were sent away together do not come back together.
            time.sleep(wait + random.random())
        raise AssertionError("the last attempt returns or raises")


def main(email):
    artisan = Artisan(os.environ["ARTISAN_URL"], os.environ["ARTISAN_API_KEY"])

    me, _ = artisan.get("/v1/whoami")
    print(f"{me['id']} acts for {me['organization_id']}, mode {me['mode']}, scopes {' '.join(me['scopes'])}")

    # The key is named after what the request is about, so that a program that crashed and starts over sends the same
    # one. A random one does as well if it is stored before the request is sent. It is remembered for 24 hours.
    lead = {"email": email, "custom": {"source": "import"}}
    created, _ = artisan.post("/v1/leads", lead, idempotency_key=f"import-{email}")
    print(f"lead {created['id']}")
    # Once more, as a program does that does not know whether the first request arrived.
    again, headers = artisan.post("/v1/leads", lead, idempotency_key=f"import-{email}")
    print(f"again {again['id']}, replayed: {headers.get('Idempotency-Replayed', 'false')}")

    # A page of three shows how paging works; 100 is the most, and what a program should ask for.
    leads, pages, query = [], 0, {"limit": 3}
    while True:
        page, headers = artisan.get("/v1/leads", **query)
        leads += page["data"]
        pages += 1
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    print(f"{len(leads)} leads on {pages} pages")

    # "hourly";r=42;t=3540: 42 requests are left, and in 3540 seconds there are more again.
    if left := re.search(r";r=(\d+);t=(\d+)", headers.get("RateLimit", "")):
        print(f"{left[1]} requests left, more in {left[2]} s")

    # And this is what a refusal looks like.
    try:
        artisan.post("/v1/leads", {"email": "not an address"}, idempotency_key=f"refused-{email}")
    except Problem as problem:
        print(problem)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "grace@example.com")
    except Problem as problem:
        sys.exit(str(problem))
