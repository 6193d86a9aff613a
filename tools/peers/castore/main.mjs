// Castore's event store, for `make bench-peers`: does one job for each line of its input, and answers each with a line.
//
// What a job and an answer are is written in tools/src/bin/bench-peers/job.rs.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';

// The packages are not beside this file: `make bench-peers` installs them elsewhere, and says where.
const require = createRequire(resolve(process.argv[2], 'package.json'));
const { CreateTableCommand, DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { EventStore, eventAlreadyExistsErrorCode } = require('@castore/core');
const {
  DynamoDBSingleTableEventStorageAdapter,
  EVENT_TABLE_EVENT_STORE_ID_KEY,
  EVENT_TABLE_INITIAL_EVENT_INDEX_NAME,
  EVENT_TABLE_PK,
  EVENT_TABLE_SK,
  EVENT_TABLE_TIMESTAMP_KEY,
} = require('@castore/event-storage-adapter-dynamodb');

const TABLE = 'castore';
const payloads = JSON.parse(readFileSync(process.argv[3], 'utf8'));
let payload = 0;

const stores = new Map();
function storeAt(endpoint) {
  if (!stores.has(endpoint)) {
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
    const dynamoDBClient = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials });
    const eventStorageAdapter = new DynamoDBSingleTableEventStorageAdapter({ tableName: TABLE, dynamoDBClient });
    const store = new EventStore({ eventStoreId: 'ORDERS', eventTypes: [], reducer: (state) => state, eventStorageAdapter });
    stores.set(endpoint, { store, dynamoDBClient });
  }
  return stores.get(endpoint);
}

// The table as the adapter's documentation has it.
async function create({ endpoint }) {
  const key = (AttributeName, KeyType) => ({ AttributeName, KeyType });
  const attribute = (AttributeName, AttributeType) => ({ AttributeName, AttributeType });
  await storeAt(endpoint).dynamoDBClient.send(
    new CreateTableCommand({
      TableName: TABLE,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        attribute(EVENT_TABLE_PK, 'S'),
        attribute(EVENT_TABLE_SK, 'N'),
        attribute(EVENT_TABLE_EVENT_STORE_ID_KEY, 'S'),
        attribute(EVENT_TABLE_TIMESTAMP_KEY, 'S'),
      ],
      KeySchema: [key(EVENT_TABLE_PK, 'HASH'), key(EVENT_TABLE_SK, 'RANGE')],
      GlobalSecondaryIndexes: [
        {
          IndexName: EVENT_TABLE_INITIAL_EVENT_INDEX_NAME,
          KeySchema: [key(EVENT_TABLE_EVENT_STORE_ID_KEY, 'HASH'), key(EVENT_TABLE_TIMESTAMP_KEY, 'RANGE')],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
      StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_AND_OLD_IMAGES' },
    }),
  );
}

// Where this process last saw streams end: no reading before each append.
const versions = new Map();

// Not the newest event alone: the adapter goes on page after page, whatever the limit.
async function learn(store, stream) {
  const known = versions.get(stream) ?? 0;
  const { events } = await store.getEvents(stream, { minVersion: known + 1 });
  versions.set(stream, Math.max(versions.get(stream) ?? 0, ...events.map((event) => event.version)));
}

async function append(store, stream, batch) {
  for (;;) {
    if (!versions.has(stream)) await learn(store, stream);
    const first = versions.get(stream) + 1;
    const events = Array.from({ length: batch }, (_, number) => ({
      aggregateId: stream,
      version: first + number,
      type: 'order.placed',
      payload: payloads[payload++ % payloads.length],
      metadata: { correlation_id: 'c-1' },
    }));
    try {
      if (batch === 1) await store.pushEvent(events[0]);
      else await EventStore.pushEventGroup(...events.map((event) => store.groupEvent(event)));
      versions.set(stream, Math.max(versions.get(stream) ?? 0, first + batch - 1));
      return;
    } catch (error) {
      if (error.code !== eventAlreadyExistsErrorCode) throw error;
      await learn(store, stream);
    }
  }
}

async function run(job) {
  if (job.task === 'create') return create(job).then(() => ({ times_us: [], seconds: 0 }));
  const { store } = storeAt(job.endpoint);
  const times = [];
  let next = 0;
  const writer = async () => {
    while (next < job.operations) {
      const stream = `${job.streams}-${next++ % job.stream_count}`;
      const began = process.hrtime.bigint();
      if (job.task === 'append') await append(store, stream, job.batch);
      else {
        const { events } = await store.getEvents(stream);
        if (events.length !== job.events) throw new Error(`${stream} has ${events.length} events instead of ${job.events}`);
      }
      times.push(Number((process.hrtime.bigint() - began) / 1000n));
    }
  };
  const began = process.hrtime.bigint();
  await Promise.all(Array.from({ length: job.writers }, writer));
  return { times_us: times, seconds: Number(process.hrtime.bigint() - began) / 1e9 };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await run(JSON.parse(line));
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
