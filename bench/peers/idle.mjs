// Many accounts in IDLE as a user of imapflow would hold them: one process, no log.
// node idle.mjs PORT CA_FILE ACCOUNTS CONNECTING
// Says `ready`, waits for a line, connects; then a line for each EXISTS: whose, and when.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { ImapFlow } from "imapflow";

const [port, caFile, accounts, connecting] = process.argv.slice(2);
// One context for all: to read the certificate anew costs memory and time for each connection.
const secureContext = createSecureContext({ ca: readFileSync(caFile) });

async function hold(user) {
  const client = new ImapFlow({
    host: "127.0.0.1",
    port: Number(port),
    secure: true,
    tls: { secureContext },
    auth: { user, pass: "secret" },
    logger: false,
  });
  client.on("error", (error) => console.error(user, error.message));
  client.on("exists", () => process.stdout.write(`${user} ${process.hrtime.bigint()}\n`));
  await client.connect();
  await client.mailboxOpen("INBOX", { readOnly: true });
  // By itself it would begin after 15 seconds.
  client.idle().catch((error) => console.error(user, error.message));
}

console.log("ready");
await once(process.stdin, "data");
const waiting = Array.from({ length: Number(accounts) }, (_, number) => `u${number}`);
await Promise.all(
  Array.from({ length: Number(connecting) }, async () => {
    for (let user = waiting.shift(); user; user = waiting.shift()) await hold(user);
  }),
);
