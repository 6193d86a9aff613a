// Sends events with unchanged SDKs for servers: RudderStack's and Segment's for Node.js, and CloudEvents'.
//
//   node node.mjs URL WRITE_KEY API_KEY
//
// Ends with one line of JSON on standard output, what was sent by which SDK, once all of it was answered with success; else
// with the reason on standard error. `scripts/setup clients` installs the SDKs; no other host than URL's is called.

import { subscribe } from "node:diagnostics_channel";
import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";

const require = createRequire(new URL("../../.tools/clients/", import.meta.url));
const RudderAnalytics = require("@rudderstack/rudder-sdk-node");
const { Analytics: SegmentAnalytics } = require("@segment/analytics-node");
const { CloudEvent, Mode, emitterFor, httpTransport } = require("cloudevents");

const TIME_LIMIT = 30_000;
// Both SDKs try again by themselves; more often than this would outlast the time limit.
const RETRIES = 3;

// Both SDKs have these methods, and take these messages.
function messages(sdk) {
  const userId = `${sdk}-user`;
  const order = { order_id: "42", total: 50.5, products: [{ sku: "A-1", quantity: 2 }], note: "ü 🦀" };
  return [
    ["identify", { userId, traits: { email: "user@example.com", plan: "pro" } }],
    ["track", { userId, event: "Order Completed", properties: order, context: { ip: "203.0.113.7" } }],
    ["page", { userId, category: "Docs", name: "Start", properties: { url: "https://shop.example/docs", path: "/docs" } }],
    ["screen", { userId, name: "Cart", properties: { items: 1 } }],
    ["group", { userId, groupId: `${sdk}-group`, traits: { name: "Acme" } }],
    ["alias", { userId, previousId: `${sdk}-anonymous` }],
  ];
}

const summary = ({ type, event, userId, messageId }) => ({ type, event, userId, messageId });

async function rudder(url, writeKey) {
  // Without a handler of errors, a failed flush that the SDK itself began would be an unhandled rejection.
  const options = { dataPlaneUrl: url, retryCount: RETRIES, logLevel: "none", errorHandler: () => {} };
  const client = new RudderAnalytics(writeKey, options);
  const answered = messages("rudder").map(
    ([type, message]) =>
      new Promise((resolve, reject) => {
        // Called with the batch as it was sent: only there are the ids that the SDK gave.
        client[type](message, (error, batch) => {
          if (error) return reject(error);
          resolve(JSON.parse(gunzipSync(batch)).batch.find((sent) => sent.type === type));
        });
      }),
  );
  client.flush();
  return (await Promise.all(answered)).map(summary);
}

async function segment(url, writeKey) {
  const client = new SegmentAnalytics({ host: url, writeKey, maxRetries: RETRIES });
  const answered = messages("segment").map(
    ([type, message]) =>
      new Promise((resolve, reject) => {
        client[type](message, (error, context) => (error ? reject(error) : resolve(context.event)));
      }),
  );
  // What fails is known from the callbacks; an "error" that nobody listens to would be thrown.
  client.on("error", () => {});
  const [events] = await Promise.all([Promise.all(answered), client.closeAndFlush({ timeout: TIME_LIMIT })]);
  return events.map(summary);
}

async function cloudEvents(url, apiKey) {
  const sink = new URL("/api/v1/events/cloudevents", url);
  const transport = httpTransport(sink);
  // The SDK's transport takes any answer for success and does not tell the status; Node.js does.
  let status;
  subscribe("http.client.response.finish", ({ request, response }) => {
    if (request.path === sink.pathname) status = response.statusCode;
  });
  const deliver = async (message, options) => {
    const answer = await transport(message, options);
    if (!(status >= 200 && status <= 299)) throw new Error(`${status} ${answer.body}`);
  };
  const event = (type) =>
    new CloudEvent({ type, source: "/shop", subject: "order:42", tenant: "acme", data: { order_id: "42", note: "ü 🦀" } });
  const [binary, structured] = [event("order.binary"), event("order.structured")];
  const batch = [event("order.batched"), event("order.batched")];
  const headers = { "X-API-Key": apiKey };

  await emitterFor(deliver, { mode: Mode.BINARY })(binary, { headers });
  await emitterFor(deliver, { mode: Mode.STRUCTURED })(structured, { headers });
  // The SDK reads batches, but has nothing that writes them.
  const asBatch = { headers: { "content-type": "application/cloudevents-batch+json" }, body: JSON.stringify(batch) };
  await deliver(asBatch, { headers });
  return [binary, structured, ...batch].map(({ id, type, source, subject }) => ({ id, type, source, subject }));
}

function fail(reason) {
  console.error(`node.mjs: ${reason}`);
  process.exit(1);
}

const [url, writeKey, apiKey] = process.argv.slice(2);
if (!apiKey) fail("usage: node node.mjs URL WRITE_KEY API_KEY");
setTimeout(() => fail(`not done after ${TIME_LIMIT / 1000} s`), TIME_LIMIT).unref();

const named = (sdk, sending) =>
  sending.catch((error) => {
    throw new Error(`${sdk}: ${error.message || error.code || error}`);
  });
try {
  const [rudderSent, segmentSent, cloudEventsSent] = await Promise.all([
    named("rudder", rudder(url, writeKey)),
    named("segment", segment(url, writeKey)),
    named("cloudevents", cloudEvents(url, apiKey)),
  ]);
  console.log(JSON.stringify({ rudder: rudderSent, segment: segmentSent, cloudevents: cloudEventsSent }));
} catch (error) {
  fail(error.message);
}
