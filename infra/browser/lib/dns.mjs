// A DNS server of a test's own, which knows some texts (RFC 1035) and no address.

import { createSocket } from "node:dgram";
import { once } from "node:events";

const TXT = 16;
const NO_SUCH_NAME = 3;

/** Starts it. `texts` are by name, in lower case; what is added later is known from then on. */
export async function startDns(texts = new Map()) {
  const socket = createSocket("udp4");
  socket.on("message", (message, { port, address }) => socket.send(answer(message, texts), port, address));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { texts, address: `127.0.0.1:${socket.address().port}`, stop: () => socket.close() };
}

function answer(message, texts) {
  // The question: labels with their lengths up to an empty one, then type and class.
  const labels = [];
  let at = 12;
  while (message[at] > 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + message[at]));
    at += 1 + message[at];
  }
  const question = message.subarray(12, at + 5);
  const text = message.readUInt16BE(at + 1) === TXT ? texts.get(labels.join(".").toLowerCase()) : undefined;
  const header = Buffer.alloc(12);
  message.copy(header, 0, 0, 2);
  // An answer, with recursion asked for and available.
  header.writeUInt16BE(0x8180 | (text === undefined ? NO_SUCH_NAME : 0), 2);
  header.writeUInt16BE(1, 4);
  if (text === undefined) return Buffer.concat([header, question]);
  header.writeUInt16BE(1, 6);
  const record = Buffer.alloc(13);
  // The name is that of the question; a class of IN, a minute to live, one string.
  record.writeUInt16BE(0xc00c, 0);
  record.writeUInt16BE(TXT, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(60, 6);
  record.writeUInt16BE(text.length + 1, 10);
  record.writeUInt8(text.length, 12);
  return Buffer.concat([header, question, record, Buffer.from(text, "latin1")]);
}
