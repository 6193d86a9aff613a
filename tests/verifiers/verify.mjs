// Verifies deliveries with the official JavaScript library.
//
// Reads one delivery a line from standard input, JSON with `secret`, `headers` and `body`, and answers each with a line:
// `accepted` or `refused`. Anything else than a verdict of the library ends it with an error.

import assert from "node:assert";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../.tools/node/", import.meta.url));
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

for await (const line of createInterface({ input: process.stdin })) {
  const delivery = JSON.parse(line);
  const webhook = new Webhook(delivery.secret);
  try {
    assert.deepStrictEqual(webhook.verify(delivery.body, delivery.headers), JSON.parse(delivery.body));
    console.log("accepted");
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    console.log("refused");
  }
}
