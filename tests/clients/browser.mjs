// Sends events with RudderStack's unchanged SDK for browsers, from a page in headless Chromium.
//
//   node browser.mjs URL WRITE_KEY
//
// Ends with one line of JSON on standard output once all that was sent is answered with success: the events, the path that
// each was sent to, and the ids of visitor and session; else with the reason, and what the page's console said, on standard
// error. The page has another origin than URL, and the browser reaches no other host than these two. `scripts/setup clients`
// installs the SDK and Chromium; CHROMIUM names another one.

import { readFile } from "node:fs/promises";
import { createServer, request as httpRequest } from "node:http";
import { createRequire } from "node:module";
import { buffer } from "node:stream/consumers";

const installed = new URL("../../.tools/clients/", import.meta.url);
const { chromium } = createRequire(installed)("playwright-core");
// The build with the queues and the other plugins in it: the default one fetches them from a CDN.
const SDK = new URL("node_modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js", installed);

const TIME_LIMIT = 60_000;

// What the browser said, each thing once: the SDK tries again and again.
const heard = new Set();

function fail(reason) {
  console.error([`browser.mjs: ${reason}`, ...[...heard].map((line) => `  ${line}`)].join("\n"));
  process.exit(1);
}

async function serve(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${server.address().port}`;
}

// A page with the SDK, at any path but `/left`: that is where to go from it.
async function servePages() {
  const sdk = await readFile(SDK);
  // Without an icon in the page, the browser asks for one.
  const page = (head) => `<!doctype html><html lang="en"><title>Shop</title><link rel="icon" href="data:,">${head}</html>`;
  return serve(({ url }, response) => {
    if (url === "/sdk.js") response.writeHead(200, { "content-type": "text/javascript" }).end(sdk);
    else response.writeHead(200, { "content-type": "text/html" }).end(page(url === "/left" ? "" : '<script src="/sdk.js"></script>'));
  });
}

// Passes requests on to `url` as they are, and tells `answered` of each and its answer. The browser itself tells nobody about
// a beacon that is sent while a page is left; closed too early, it would not send it either.
async function serveRelay(url, answered) {
  return serve(async (request, response) => {
    const { method, headers, url: path } = request;
    const body = await buffer(request);
    const onwards = httpRequest(new URL(path, url), { method, headers, agent: false }, async (answer) => {
      const content = await buffer(answer);
      response.writeHead(answer.statusCode, answer.headers).end(content);
      answered({ method, path, body, status: answer.statusCode, content });
    });
    onwards.on("error", (error) => fail(`${method} ${path}: ${error.message || error.code}`));
    onwards.end(body);
  });
}

// Which events were delivered, by their ids, and the path of the request.
const delivered = new Map();
let deliveredMore = () => {};

function answered({ method, path, body, status, content }) {
  if (status < 200 || status > 299) fail(`${method} ${path} was answered with ${status}: ${content}`);
  if (method !== "POST") return;
  const message = JSON.parse(body);
  for (const { messageId } of message.batch ?? [message]) delivered.set(messageId, path.split("?")[0]);
  deliveredMore();
}

async function untilDelivered(events) {
  while (!events.every(({ messageId }) => delivered.has(messageId))) await new Promise((resolve) => (deliveredMore = resolve));
}

// Runs in the page: loads the SDK, makes the calls, and tells the events that became of them, and the ids that the SDK uses.
async function callSdk({ url, writeKey, options, calls }) {
  const analytics = new globalThis.rudderanalytics.RudderAnalytics();
  analytics.load(writeKey, url, options);
  const events = calls.map(([method, ...args]) => new Promise((resolve) => analytics[method](...args, resolve)));
  const sent = (await Promise.all(events)).map(({ type, event, userId, messageId }) => ({ type, event, userId, messageId }));
  return { sent, anonymousId: analytics.getAnonymousId(), sessionId: analytics.getSessionId() };
}

async function main(url, writeKey) {
  const pages = await servePages();
  const relay = await serveRelay(url, answered);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Chromium has no sandbox for root, as whom CI runs.
    args: ["--no-sandbox", `--host-resolver-rules=MAP ${new URL(url).host} ${relay}, MAP ${pages} ${pages}, MAP * ~NOTFOUND`],
  });
  const page = await browser.newPage();
  page.on("console", (message) => heard.add(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => heard.add(`error: ${error.message}`));
  page.on("requestfailed", (request) => heard.add(`${request.method()} ${request.url()}: ${request.failure().errorText}`));

  const options = {
    configUrl: url,
    // Where the SDK would get what it lacks, were it to lack anything.
    destSDKBaseURL: `http://${pages}/integrations`,
    pluginsSDKBaseURL: `http://${pages}/plugins`,
  };
  await page.goto(`http://${pages}/`);
  const order = { order_id: "42", total: 50.5, products: [{ sku: "A-1", quantity: 2 }], note: "ü 🦀" };
  const first = await page.evaluate(callSdk, {
    url,
    writeKey,
    options,
    calls: [
      ["page"],
      ["identify", "user-1", { email: "user@example.com", plan: "pro" }],
      ["track", "Order Completed", order],
      ["group", "group-1", { name: "Acme" }],
    ],
  });
  await untilDelivered(first.sent);

  // Beacons wait for more until the page is left.
  await page.goto(`http://${pages}/leaving`);
  const calls = [["track", "Left Page", { after: 5 }]];
  const second = await page.evaluate(callSdk, { url, writeKey, options: { ...options, useBeacon: true }, calls });
  await page.goto(`http://${pages}/left`);
  await untilDelivered(second.sent);
  await browser.close();

  for (const id of ["anonymousId", "sessionId"]) {
    if (first[id] !== second[id]) throw new Error(`${id} was ${first[id]}, and ${second[id]} on the next page`);
  }
  const sent = [...first.sent, ...second.sent].map((event) => ({ ...event, path: delivered.get(event.messageId) }));
  return { anonymousId: first.anonymousId, sessionId: first.sessionId, sent };
}

const [url, writeKey] = process.argv.slice(2);
if (!writeKey) fail("usage: node browser.mjs URL WRITE_KEY");
setTimeout(() => fail(`not done after ${TIME_LIMIT / 1000} s`), TIME_LIMIT);
try {
  console.log(JSON.stringify(await main(url, writeKey)));
  process.exit(0);
} catch (error) {
  fail(error.message);
}
