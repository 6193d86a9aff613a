"""Reads what the bridge publishes, as a service in Python does: `nats_reader.py URL SUBJECT COUNT`.

Prints each message as a line of JSON: its subject, its headers and its body.
"""
import asyncio
import json
import sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def main(url, subject, count):
    connection = await nats.connect(url)
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    subscription = await connection.jetstream().subscribe(subject, config=config)
    for _ in range(count):
        message = await subscription.next_msg(timeout=30)
        line = {"subject": message.subject, "headers": message.headers, "body": json.loads(message.data)}
        print(json.dumps(line), flush=True)
        await message.ack()
    await connection.close()


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
