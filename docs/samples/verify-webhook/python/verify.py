#!/usr/bin/env python3
"""Verifies a webhook from Artisan and handles its event once.

    ARTISAN_WEBHOOK_SECRET=whsec_… python3 verify.py WAY headers.txt body.json

WAY is one of four; one is enough.

    library   the standardwebhooks package, from PyPI
    v1        the same by the standard library
    v1a       with the endpoint's public key, ARTISAN_WEBHOOK_PUBLIC_KEY=whpk_…; needs the cryptography package
    artisan   X-Artisan-Signature, by the standard library; does not notice that a webhook is an old one sent again

The files are a request as it came: its headers, one `name: value` a line, and its body, byte for byte.
Needs Python 3.10 or newer.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time

TOLERANCE_SECONDS = 300


class Refused(Exception):
    """Not from Artisan, changed on the way, or old. Answer 400, and do nothing else."""


def verify_with_library(secret, headers, body):
    from standardwebhooks import Webhook, WebhookVerificationError

    try:
        return Webhook(secret).verify(body, headers)
    except WebhookVerificationError as error:
        raise Refused(error) from None


def signed_text(headers, body):
    """What Standard Webhooks signs, provided that it is recent."""
    try:
        id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        off = abs(time.time() - int(timestamp))
    except (KeyError, ValueError):
        raise Refused("it has no webhook-id or webhook-timestamp") from None
    if off > TOLERANCE_SECONDS:
        raise Refused("its timestamp is more than five minutes off")
    return f"{id}.{timestamp}.".encode() + body


def signatures(headers, scheme):
    """Those of one scheme. There may be several: while a secret is being changed, one by the new and one by the old."""
    for one in headers.get("webhook-signature", "").split(" "):
        name, _, signature = one.partition(",")
        if name == scheme:
            yield signature


def verify_v1(secret, headers, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed_text(headers, body), hashlib.sha256).digest())
    if not any(hmac.compare_digest(expected, one.encode()) for one in signatures(headers, "v1")):
        raise Refused("no signature fits")
    return json.loads(body)


def verify_v1a(public_key, headers, body):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    text = signed_text(headers, body)
    for one in signatures(headers, "v1a"):
        try:
            key.verify(base64.b64decode(one), text)
            return json.loads(body)
        except (InvalidSignature, ValueError):
            pass
    raise Refused("no signature fits")


def verify_artisan(secret, headers, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), headers.get("x-artisan-signature", "").encode()):
        raise Refused("the signature does not fit")
    return json.loads(body)


def handle_once(database, event):
    """False if the event was handled before: a webhook may come more than once, with the same id each time.

    The id is stored in the same transaction as what the event leads to. So if that fails the id is not there either, and
    the next attempt does it. The id in the body is signed in all four ways, and the same as webhook-id.
    """
    with database:
        new = database.execute("INSERT OR IGNORE INTO handled_webhooks (id) VALUES (?)", [event["id"]]).rowcount == 1
        if new:
            print(f"handled {event['id']} {event['event']}")  # What you do about the event, in the same database.
    return new


def main(way, headers_file, body_file):
    with open(headers_file, encoding="latin-1") as lines:
        pairs = [line.rstrip("\r\n").partition(":") for line in lines if ":" in line]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    with open(body_file, "rb") as file:
        body = file.read()

    ways = {
        "library": (verify_with_library, "ARTISAN_WEBHOOK_SECRET"),
        "v1": (verify_v1, "ARTISAN_WEBHOOK_SECRET"),
        "v1a": (verify_v1a, "ARTISAN_WEBHOOK_PUBLIC_KEY"),
        "artisan": (verify_artisan, "ARTISAN_WEBHOOK_SECRET"),
    }
    verify, variable = ways[way]
    try:
        event = verify(os.environ[variable], headers, body)
    except Refused as reason:
        print(f"refused: {reason}", file=sys.stderr)
        return 1

    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE handled_webhooks (id TEXT PRIMARY KEY)")
    handle_once(database, event)
    # As if the same webhook came again. Answer 2xx to it too.
    if not handle_once(database, event):
        print(f"again {event['id']}: nothing to do")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
