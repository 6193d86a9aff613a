"""Verifies deliveries with the official Python library.

Reads one delivery a line from standard input, JSON with `secret`, `headers` and `body`, and answers each with a line:
`accepted` or `refused`. Anything else than a verdict of the library ends it with an error.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    delivery = json.loads(line)
    webhook = Webhook(delivery["secret"])
    try:
        assert webhook.verify(delivery["body"], delivery["headers"]) == json.loads(delivery["body"])
        print("accepted")
    except WebhookVerificationError:
        print("refused")
