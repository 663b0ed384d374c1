"""What uses a deployment while it is rolled: tenants who each have a person and a program at work, and a receiver of webhooks.

Nobody tries anything again, and nothing that goes wrong is passed over. The book holds what was asked, what was answered, and
what must have come of that: an audit record, events, mails.
"""

import base64
import collections
import dataclasses
import hashlib
import hmac
import http.client
import http.server
import itertools
import json
import random
import threading
import time
import urllib.parse
import urllib.request

PASSWORD = "a kettle of seven herrings"
# A call that hangs is lost, too. Longer than a function may take.
PATIENCE = 30


@dataclasses.dataclass
class Request:
    """One request, and what came of it."""

    id: str
    stage: str
    operation: str
    organization: str | None
    status: int
    fine: bool
    # What it was answered with, where it was not fine.
    answer: str
    # How many audit records it must have left.
    records: int
    # The types of the events it must have caused.
    events: tuple


class Book:
    """Every request. Written by many threads."""

    def __init__(self):
        self.requests = []
        self.mails = collections.Counter()
        self.stage = "nothing was rolled"
        self.numbers = itertools.count(1)

    def failures(self):
        return [it for it in self.requests if not it.fine]


class Lost(Exception):
    """A request was not answered as it should have been. It is in the book."""


class Caller:
    """Somebody with a place of their own, as sign-ups from one place are limited."""

    def __init__(self, url, book, place):
        self.url, self.book, self.place = urllib.parse.urlsplit(url), book, place
        self.token, self.organization, self.last = None, None, None

    def call(self, operation, *names, body=None, expect=200, records=None, events=(), idempotency_key=None, query=""):
        """Calls an operation (`POST /v1/leads/{}/replies`), and gives what was answered as JSON.

        A change leaves one audit record, a read none, unless `records` says something else.
        """
        method, path = operation.split(" ")
        request = f"roll-{next(self.book.numbers)}"
        headers = {"content-type": "application/json", "x-request-id": request}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        if idempotency_key:
            headers["idempotency-key"] = idempotency_key
        status, text = 0, ""
        try:
            connection = http.client.HTTPConnection(
                self.url.hostname, self.url.port, timeout=PATIENCE, source_address=(self.place, 0)
            )
            sent = None if body is None else json.dumps(body)
            connection.request(method, self.url.path + path.format(*names) + query, sent, headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read().decode()
            connection.close()
            read = json.loads(text) if text else None
            fine = status == expect
        except (OSError, http.client.HTTPException, ValueError) as error:
            fine, read, text = False, None, f"{error!r} {text}"
        left = int(method != "GET") if records is None else records
        stage, told = self.book.stage, "" if fine else text
        self.last = Request(request, stage, operation, self.organization, status, fine, told, left, tuple(events))
        self.book.requests.append(self.last)
        if not fine:
            raise Lost
        return read

    def must(self, holds, what):
        """What the last request was answered with is right."""
        if not holds:
            self.last.fine, self.last.answer = False, what
            raise Lost


class Person(Caller):
    """An administrator, in a session."""

    def sign_up(self, name, domain):
        self.name, self.email = name, f"admin@{name}.{domain}"
        body = {"organization_name": name, "name": "Ada", "email": self.email, "password": PASSWORD}
        answer = self.call("POST /api/auth/signup", body=body, expect=201)
        self.session(answer)
        self.organization, self.workspace = answer["organization"]["id"], answer["workspaces"][0]["id"]
        self.last.organization = self.organization
        self.book.mails[self.email] += 1

    def session(self, answer):
        self.token, self.refresh_token = answer["access_token"], answer["refresh_token"]

    def confirm(self, token):
        self.call("POST /api/auth/email/confirm", body={"token": token}, expect=204)

    def work(self, turn):
        """One turn of what an administrator does. What it makes it clears away again, so that no limit is met."""
        self.session(self.call("POST /api/auth/refresh", body={"refresh_token": self.refresh_token}))
        self.call("GET /api/auth/me")
        found = self.call("GET /api/admin/organization")
        named = self.call("PATCH /api/admin/organization", body={"name": f"{self.name} {turn}"})
        self.must((found["id"], named["name"]) == (self.organization, f"{self.name} {turn}"), f"{found}, then {named}")
        self.call("GET /api/admin/users")
        self.call("GET /api/admin/audit-logs", query="?limit=20")
        self.call("GET /health")

    def administer(self, turn):
        """The same of what an organization can do that has a limit of requests."""
        key = self.call("POST /api/admin/api-keys", body={"name": f"turn {turn}", "rate_limit_per_hour": 10}, expect=201)
        holder = Caller(self.url.geturl(), self.book, self.place)
        holder.organization = self.organization
        holder.token = key["key"]
        holder.call("GET /v1/whoami")
        successor = self.call("POST /api/admin/api-keys/{}/rotate", key["id"], body={"grace_seconds": 3600}, expect=201)
        holder.call("GET /v1/whoami")
        holder.token = successor["key"]
        holder.call("GET /v1/whoami")
        for it in (key["id"], successor["id"]):
            self.call("DELETE /api/admin/api-keys/{}", it, expect=204)

        workspace = self.call("POST /api/admin/workspaces", body={"name": f"turn {turn}"}, expect=201)["id"]
        self.call("PATCH /api/admin/workspaces/{}", workspace, body={"name": f"after turn {turn}"})
        self.call("DELETE /api/admin/workspaces/{}", workspace, expect=204)

        guest = f"guest{turn}@{self.email.split('@')[1]}"
        invited = self.call(
            "POST /api/admin/invitations", body={"email": guest, "role": "read_only"}, expect=201
        )
        self.book.mails[guest] += 1
        self.call("GET /api/admin/invitations")
        self.call("DELETE /api/admin/invitations/{}", invited["id"], expect=204)

    def look_after(self, endpoint, turn):
        self.call("PATCH /api/admin/webhooks/{}", endpoint, body={"description": f"turn {turn}"})
        self.call("GET /api/admin/webhooks/{}/deliveries", endpoint, query="?limit=20")

    def export(self, turn):
        """Asks for an export of the audit log, and waits for it."""
        job = self.call("POST /api/admin/audit-logs/exports", body={"format": "ndjson"}, expect=202)["id"]
        until = time.monotonic() + 4 * PATIENCE
        while time.monotonic() < until:
            found = self.call("GET /api/admin/audit-logs/exports/{}", job)
            if found["status"] not in ("queued", "running"):
                break
            time.sleep(0.5)
        self.must(found["status"] == "done", f"the export is not done: {found}")
        # Whoever is given the link has the file.
        self.last.records = 1


class Program(Caller):
    """What works with an API key."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.made, self.leads, self.cursor = [], [], ""

    def work(self, turn):
        """One turn. It reads and changes what it has just made and what is from before, and repeats requests of before."""
        body, key = {"email": f"lead{turn}@example.com", "first_name": "Grace"}, f"{self.organization}-{turn}"
        lead = self.call("POST /v1/leads", body=body, expect=201, events=["lead.created"], idempotency_key=key)
        self.made.append((key, body, lead))
        self.leads.append(lead["id"])
        key, body, was = random.choice(self.made)
        again = self.call("POST /v1/leads", body=body, expect=201, records=0, idempotency_key=key)
        self.must(again == was, f"it is repeated; the answer before was {was}, and is {again}")

        any_lead = random.choice(self.leads)
        self.call("GET /v1/leads/{}", any_lead)
        changed = self.call("PATCH /v1/leads/{}", any_lead, body={"title": f"turn {turn}"}, events=["lead.updated"])
        self.must(changed["title"] == f"turn {turn}", f"{changed}")
        reply = {"message": f"Tuesday {turn}", "channel": "email"}
        self.call("POST /v1/leads/{}/replies", any_lead, body=reply, expect=201, events=["lead.replied"])
        self.call("POST /v1/leads/{}/qualify", lead["id"], events=["lead.qualified"])
        sent = {"events": [{"type": "sent", "lead_id": lead["id"], "message_id": f"m-{turn}"}]}
        self.call("POST /v1/email-events", body=sent, expect=201, events=["email.sent"])

        at = {"starts_at": "2027-01-12T10:00:00Z", "ends_at": "2027-01-12T11:00:00Z"}
        meeting = {"lead_id": any_lead, **at}
        meeting = self.call("POST /v1/meetings", body=meeting, expect=201, events=["meeting.booked"])["id"]
        self.call("POST /v1/meetings/{}/cancel", meeting, events=["meeting.cancelled"])

        campaign = self.call("POST /v1/campaigns", body={"name": f"turn {turn}"}, expect=201, events=["campaign.created"])
        for step, event in (("start", "started"), ("pause", "paused"), ("complete", "completed")):
            self.call(f"POST /v1/campaigns/{{}}/{step}", campaign["id"], events=[f"campaign.{event}"])

        # Page by page, over all stages.
        page = self.call("GET /v1/leads", query=f"?limit=3{self.cursor}")
        self.cursor = f"&cursor={page['next_cursor']}" if page.get("next_cursor") else ""


class Receiver:
    """Takes webhooks, and keeps which. One in four that come to a path which ends with `/hesitant` is refused once."""

    def __init__(self):
        self.secrets, self.attempts, self.taken = {}, collections.Counter(), collections.Counter()
        self.forged = []
        self.lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take(self.path, self.headers, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        event = headers["webhook-id"]
        secret = base64.b64decode(self.secrets[path].removeprefix("whsec_"))
        signed = f"{event}.{headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        with self.lock:
            if f"v1,{signature}" not in headers["webhook-signature"].split() or json.loads(body)["id"] != event:
                self.forged.append((path, event))
                return 400
            self.attempts[path, event] += 1
            if path.endswith("/hesitant") and self.attempts[path, event] == 1 and ord(event[-1]) % 4 == 0:
                return 503
            self.taken[path, event] += 1
            return 200


class Tenant:
    """An organization with a person, and from `settle` on a program and two endpoints.

    Where it is not settled before it starts, the person does it as soon as they may.
    """

    def __init__(self, url, book, receiver, number, domain):
        place = f"127.9.0.{number + 1}"
        self.person, self.program = Person(url, book, place), Program(url, book, place)
        self.book, self.receiver = book, receiver
        self.endpoints, self.threads, self.turns = {}, [], itertools.count()
        self.person.sign_up(f"tenant{number}", domain)
        self.organization = self.program.organization = self.person.organization
        self.settled, self.may_settle = False, True

    def settle(self):
        """What a new customer does first. Room for what a turn makes is part of a larger plan."""
        self.person.call("PATCH /api/admin/organization", body={"plan": "business"})
        key = {"name": "program", "rate_limit_per_hour": 1_000_000, "workspace_id": self.person.workspace}
        self.program.token = self.person.call("POST /api/admin/api-keys", body=key, expect=201)["key"]
        for kind in ("willing", "hesitant"):
            path = f"/{self.organization}/{kind}"
            body = {"url": self.receiver.url + path, "events": ["*"]}
            made = self.person.call("POST /api/admin/webhooks", body=body, expect=201)
            self.endpoints[path] = made["id"]
            self.receiver.secrets[path] = made["secret"]
        self.settled = True

    def start(self, stopped):
        """Has both of them work until it is said that they stop."""

        def loop(work):
            for turn in itertools.count():
                if stopped.is_set():
                    return
                try:
                    work(turn)
                except Lost:
                    # It is in the book. Not at once again, in case everything fails.
                    stopped.wait(1)

        for work in (self.person_works, self.program_works):
            self.threads.append(threading.Thread(target=loop, args=(work,)))
            self.threads[-1].start()

    def person_works(self, turn):
        self.person.work(turn)
        if self.may_settle and not self.settled:
            self.settle()
        if self.settled:
            self.person.administer(turn)
            for endpoint in list(self.endpoints.values()):
                self.person.look_after(endpoint, turn)
            if turn % 3 == 1:
                self.person.export(turn)
        time.sleep(0.2)

    def program_works(self, turn):
        if self.settled:
            self.program.work(turn)
        time.sleep(0.2)
