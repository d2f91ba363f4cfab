// Whether anything changed, as a good user of imapflow asks: a login, and a LIST with each STATUS.
import { ImapFlow } from "imapflow";

const { HOST: host, PORT: port, LOGIN: user, PASSWORD: pass, TIMES: times } = process.env;
const ITEMS = { messages: true, uidNext: true, uidValidity: true, highestModseq: true };

async function check() {
  const client = new ImapFlow({
    host, port: Number(port), secure: false, doSTARTTLS: false, auth: { user, pass }, logger: false,
  });
  await client.connect();
  await client.list({ statusQuery: ITEMS });
  await client.logout();
}

// The first ones are slower while the code is compiled.
const warming = Math.floor(Number(times) / 4);
for (let n = 0; n < warming; n++) await check();
const took = [];
const before = process.cpuUsage();
for (let n = 0; n < times; n++) {
  const began = performance.now();
  await check();
  took.push(performance.now() - began);
}
const { user: own, system } = process.cpuUsage(before);
took.sort((a, b) => a - b);
console.log(JSON.stringify({
  wall: took[Math.floor(took.length / 2)],
  cpu: (own + system) / 1000 / Number(times),
}));
