// A receiver of webhooks that a test has in its hand.

import { once } from "node:events";
import { createServer } from "node:http";

/** Answers each webhook as `answer` says: `{ status, headers, body }`. Keeps the bodies that it took. */
export async function startReceiver(answer) {
  const receiver = { answer, taken: [] };
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { status, headers = {}, body = "" } = receiver.answer;
    if (status < 300) receiver.taken.push(JSON.parse(Buffer.concat(parts).toString()));
    response.writeHead(status, headers).end(body);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  receiver.url = `http://127.0.0.1:${server.address().port}/hooks`;
  receiver.stop = () => server.close();
  return receiver;
}
