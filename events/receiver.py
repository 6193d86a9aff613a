#!/usr/bin/env python3
"""Receives webhooks on this machine, checks their signatures, and prints a line for each.

    python3 events/receiver.py PORT SECRET [STATUS]

SECRET is the subscription's `webhook_secret`; STATUS is what to answer, 200 unless said.
Needs nothing but Python 3.
"""
import base64
import hashlib
import hmac
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
SECRET = sys.argv[2] if len(sys.argv) > 2 else ""
STATUS = int(sys.argv[3]) if len(sys.argv) > 3 else 200


def key(secret: str) -> bytes:
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def is_signed(headers, body: bytes) -> bool:
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = "v1," + base64.b64encode(hmac.new(key(SECRET), signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split())


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        signed = "signed" if "webhook-signature" in self.headers and is_signed(self.headers, body) else "NOT SIGNED"
        event = json.loads(body).get("data", {})
        print(f"{signed}  {event.get('event_type', '?'):24} {event.get('stream_id', ''):20} version {event.get('stream_version', '')}", flush=True)
        self.send_response(STATUS)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
