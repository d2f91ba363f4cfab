// The predecessor's way: all of INBOX by imap-simple, each message twice, and a row at a time.
import imaps from "imap-simple";
import { simpleParser } from "mailparser";
import { open, row } from "./mail_table.mjs";

// Without the start of the program.
const began = performance.now();
const before = process.cpuUsage();
const { HOST: host, PORT: port, LOGIN: user, PASSWORD: password } = process.env;
const table = await open();
const connection = await imaps.connect({
  imap: { host, port: Number(port), user, password, tls: false, authTimeout: 10_000 },
});
await connection.openBox("INBOX");
const messages = await connection.search(["ALL"], {
  bodies: ["HEADER", "TEXT", ""],
  markSeen: false,
});
for (const message of messages) {
  const whole = message.parts.find((part) => part.which === "");
  const mail = await simpleParser(whole.body);
  if (!(mail.messageId && (await table.has(mail.messageId)))) {
    await table.insert([row(user, mail)]);
  }
}
connection.end();
const { user: own, system } = process.cpuUsage(before);
console.log(JSON.stringify({
  stored: await table.count(),
  wall: performance.now() - began,
  cpu: (own + system) / 1000,
}));
await table.close();
