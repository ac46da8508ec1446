"""Verifies what was sent with the library of Standard Webhooks, by either key, and that it verifies nothing else."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

with open(sys.argv[1], encoding="utf-8") as file:
    told = json.load(file)

verified = 0
for one in told["sent"]:
    for key in told["keys"]:
        Webhook(key).verify(one["body"], one["headers"])
        verified += 1
    for key, body in ((told["other"], one["body"]), (told["keys"][0], one["body"] + " ")):
        try:
            Webhook(key).verify(body, one["headers"])
        except WebhookVerificationError:
            continue
        sys.exit(f"verified what it should not: {one}")
print(f"verified {verified}")
