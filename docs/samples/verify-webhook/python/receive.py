#!/usr/bin/env python3
"""Receives one webhook on this machine and keeps it as it came, for verify.py and the other samples.

    python3 receive.py PORT FOLDER

Answers 204, writes FOLDER/headers.txt and FOLDER/body.json, and ends; with 1 if none has come within two minutes.
For trying things out: it verifies nothing itself. Needs Python 3.10 or newer.
"""

import http.server
import pathlib
import sys
import time

PATIENCE_SECONDS = 120


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        # The body byte for byte: whatever parses it and writes it again breaks its signature.
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
        (self.server.folder / "headers.txt").write_text(headers, encoding="latin-1")
        (self.server.folder / "body.json").write_bytes(body)
        self.send_response(204)
        self.end_headers()
        self.server.received = True

    def log_message(self, *_):
        pass


def main(port, folder):
    with http.server.HTTPServer(("127.0.0.1", int(port)), Receiver) as server:
        server.folder, server.received, server.timeout = pathlib.Path(folder), False, 1
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.received and time.monotonic() < deadline:
            server.handle_request()
    if server.received:
        return 0
    print(f"nothing has come within {PATIENCE_SECONDS} seconds", file=sys.stderr)
    return 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
