// A first sync as a good user of imapflow and mailparser writes it: streamed, stored by hundreds.
import { ImapFlow } from "imapflow";
import { simpleParser } from "mailparser";
import { open, row } from "./mail_table.mjs";

const BATCH = 100;
// What mailparser would make of a message that nobody asked for: HTML of its text, links in it,
// and pictures in its HTML.
const PLAINLY = { skipTextToHtml: true, skipTextLinks: true, skipImageLinks: true };

const { HOST: host, PORT: port, LOGIN: user, PASSWORD: pass } = process.env;
const table = await open();
const client = new ImapFlow({
  host, port: Number(port), secure: false, doSTARTTLS: false, auth: { user, pass }, logger: false,
});
await client.connect();
const lock = await client.getMailboxLock("INBOX", { readOnly: true });
let rows = [];
const wanted = { uid: true, flags: true, internalDate: true, source: true };
for await (const message of client.fetch("1:*", wanted)) {
  rows.push(row(user, await simpleParser(message.source, PLAINLY)));
  if (rows.length === BATCH) {
    await table.insert(rows);
    rows = [];
  }
}
if (rows.length) await table.insert(rows);
lock.release();
await client.logout();
console.log(JSON.stringify({ stored: await table.count() }));
await table.close();
