#!/usr/bin/env python3
"""Holds a running platform to its OpenAPI document with Schemathesis, as each role and as an API key.

run.py BASE_URL SCHEMATHESIS SECONDS: signs an organization up, has one person of each role join it, and has Schemathesis
call the API as each of them, for so many seconds each: the document's examples, its limits and what is just beyond them,
what it makes up, and sequences of calls where one takes ids from the answer to another.

Operations that would end a run for the calls after them are left out (LEFT_OUT); acceptance tests call them.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PASSWORD = "a difference engine of brass"
LEFT_OUT = [
    "delete_organization",
    "sign_out",
    "refresh_session",
    "switch_organization",
    "change_password",
    "deactivate_user",
    "remove_user",
    # Takes no reports here, and says so before it looks at them.
    "report_leaked_keys",
]


class Api:
    def __init__(self, base):
        self.base = base

    def call(self, method, path, token=None, body=None):
        headers = {"accept": "application/json"}
        data = None
        if token:
            headers["authorization"] = f"Bearer {token}"
        if body is not None:
            headers["content-type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def token_mailed_to(self, address):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for mail in self.call("GET", "/_local/mail")["data"]:
                found = re.search(r"token=([\w.-]+)", mail["text"])
                if mail["to"] == address and found:
                    return found[1]
            time.sleep(0.2)
        raise SystemExit(f"no mail came to {address}")


def credentials(api):
    """A session of each role, and a key with every scope, by what they are called."""
    admin = api.call("POST", "/api/auth/signup", None, {
        "organization_name": "Contract", "name": "Ada", "email": "contract@example.com", "password": PASSWORD,
    })
    token, workspace = admin["access_token"], admin["workspaces"][0]["id"]
    api.call("PATCH", "/api/admin/organization", token, {"plan": "business"})
    found = {}
    for role, place in [("manager", workspace), ("member", workspace), ("read_only", None)]:
        email = f"{role}@example.com"
        invitation = {"email": email, "role": role, **({"workspace_id": place} if place else {})}
        api.call("POST", "/api/admin/invitations", token, invitation)
        acceptance = {"token": api.token_mailed_to(email), "name": role, "password": PASSWORD}
        found[role] = api.call("POST", "/api/auth/invitations/accept", None, acceptance)["access_token"]
    found["key"] = api.call("POST", "/api/admin/api-keys", token, {"name": "Contract"})["key"]
    # Last, as an admin may change what the others stand on.
    return {**found, "admin": token}


def main():
    base, schemathesis, seconds = sys.argv[1:]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(Path(__file__).parent)}
    failed = []
    for who, token in credentials(Api(base)).items():
        print(f"--- as {who}", flush=True)
        command = [
            schemathesis, "--config-file", str(Path(__file__).with_name("schemathesis.toml")),
            "run", f"{base}/openapi.json", "--header", f"Authorization: Bearer {token}", "--seed", "1",
            "--checks", "all", "--exclude-checks", "positive_data_acceptance",
            "--max-time", seconds, "--warnings", "off", "--no-color",
        ]
        for operation in LEFT_OUT:
            command += ["--exclude-operation-id", operation]
        if subprocess.run(command, env=environment, check=False).returncode:
            failed.append(who)
    if failed:
        raise SystemExit(f"the contract does not hold as {', '.join(failed)}")


if __name__ == "__main__":
    main()
