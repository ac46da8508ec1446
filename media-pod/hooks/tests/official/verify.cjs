// Verifies what was sent with the library of Standard Webhooks, by either key, and that it verifies nothing else.
const fs = require("node:fs");
const path = require("node:path");
const { Webhook, WebhookVerificationError } = require(path.join(process.env.HEADGATE_NODE_MODULES, "standardwebhooks"));

const told = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
let verified = 0;
for (const one of told.sent) {
  for (const key of told.keys) {
    new Webhook(key).verify(one.body, one.headers);
    verified += 1;
  }
  for (const [key, body] of [[told.other, one.body], [told.keys[0], `${one.body} `]]) {
    try {
      new Webhook(key).verify(body, one.headers);
    } catch (error) {
      if (error instanceof WebhookVerificationError) continue;
      throw error;
    }
    throw new Error(`verified what it should not: ${JSON.stringify(one)}`);
  }
}
console.log(`verified ${verified}`);
