#!/usr/bin/env python3
"""Holds a running platform to its OpenAPI document with Schemathesis, as each role and as an API key.

contract.py BASE_URL SCHEMATHESIS SECONDS: signs an organization up, has one person of each role join it, and has Schemathesis
call every operation as each of them: the document's examples, its limits, what is just beyond them, and sequences of calls.
All of its checks must hold. What would end a run for the next one (deleting the organization, signing out) is left out; the
acceptance tests call it.
"""

import json
import re
import subprocess
import sys
import time
import urllib.request

PASSWORD = "a difference engine of brass"
# They take from whoever calls them what the rest of the run needs.
LEFT_OUT = [
    "delete_organization",
    "sign_out",
    "refresh_session",
    "switch_organization",
    "change_password",
    "deactivate_user",
    "remove_user",
]


class Api:
    def __init__(self, base):
        self.base = base

    def call(self, method, path, token=None, body=None):
        headers = {"accept": "application/json", "user-agent": "contract.py"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            headers["content-type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith(("{", "[")) else text

    def token_mailed_to(self, address):
        """The token in the newest mail to an address."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            mails = self.call("GET", "/_local/mail")
            mails = mails.get("data", mails) if isinstance(mails, dict) else mails
            for mail in mails:
                text = json.dumps(mail)
                found = re.search(r"token=([A-Za-z0-9_.-]+)", text)
                if address in text and found:
                    return found[1]
            time.sleep(0.2)
        raise SystemExit(f"no mail came to {address}")


def credentials(api):
    """A session of each role, and a key."""
    unique = str(int(time.time()))
    admin = api.call("POST", "/api/auth/signup", None, {
        "organization_name": "Contract", "name": "Ada", "email": f"admin.{unique}@example.com", "password": PASSWORD,
    })
    token = admin["access_token"]
    yield "admin", token
    for role in ["manager", "user", "read_only"]:
        email = f"{role}.{unique}@example.com"
        api.call("POST", "/api/admin/users/invitations", token, {"email": email, "role": role})
        body = {"token": api.token_mailed_to(email), "name": role, "password": PASSWORD}
        yield role, api.call("POST", "/api/auth/invitations/accept", None, body)["access_token"]
    scopes = ["campaigns:write", "campaigns:read", "leads:write", "leads:read", "meetings:write", "meetings:read"]
    yield "key", api.call("POST", "/api/admin/api-keys", token, {"name": "Contract", "scopes": scopes})["key"]


def main():
    base, schemathesis, seconds = sys.argv[1:4]
    api = Api(base)
    failed = []
    for who, token in list(credentials(api)):
        print(f"--- as {who}", flush=True)
        command = [schemathesis, "run", f"{base}/openapi.json", "--header", f"Authorization: Bearer {token}",
                   "--checks", "all", "--seed", "1", "--max-time", seconds, "--continue-on-failure", "--no-color"]
        for operation in LEFT_OUT:
            command += ["--exclude-operation-id", operation]
        if subprocess.run(command, check=False).returncode:
            failed.append(who)
    if failed:
        raise SystemExit(f"the contract does not hold for {', '.join(failed)}")


if __name__ == "__main__":
    main()
