// BullMQ beside the queue and the workers of Postwire, as its users write it:
//   node bullmq.mjs work 4    run sync jobs, four at a time
//   node bullmq.mjs none 16   run jobs that do nothing
//   node bullmq.mjs ask       add what the lines of the input say, and tell when it is added
// What happened is told as a line of JSON each; moments are milliseconds since 1970.

import { createInterface } from "node:readline";

import { Queue, Worker } from "bullmq";
import { ImapFlow } from "imapflow";
import { simpleParser } from "mailparser";
import pg from "pg";

const { REDIS_URL, DATABASE_URL, IMAP_HOST, IMAP_PORT, IMAP_PASSWORD } = process.env;
const redis = new URL(REDIS_URL);
const connection = {
  host: redis.hostname,
  port: Number(redis.port),
  password: decodeURIComponent(redis.password),
  username: redis.username || undefined,
  maxRetriesPerRequest: null,
};
const now = () => performance.timeOrigin + performance.now();
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// As many messages as Postwire writes in one transaction of such a mailbox.
const BATCH = 50;
const INSERT = `
  INSERT INTO peer_message (account, uid, message_id, subject, sender, receivers, date, flags,
                            size, text, html, attachments)
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
                       $7::timestamptz[], $8::text[], $9::integer[], $10::text[], $11::text[],
                       $12::jsonb[])
  ON CONFLICT DO NOTHING`;

async function sync(pool, account) {
  const client = new ImapFlow({
    host: IMAP_HOST,
    port: Number(IMAP_PORT),
    secure: false,
    doSTARTTLS: false,
    auth: { user: account, pass: IMAP_PASSWORD },
    disableAutoIdle: true,
    logger: false,
  });
  await client.connect();
  try {
    const mailbox = await client.mailboxOpen("INBOX", { readOnly: true });
    const { rows } = await pool.query(
      "SELECT coalesce(max(uid), 0)::int AS last FROM peer_message WHERE account = $1",
      [account],
    );
    const first = rows[0].last + 1;
    if (mailbox.uidNext <= first) return;
    const query = { uid: true, flags: true, size: true, source: true };
    let batch = [];
    for await (const message of client.fetch(`${first}:*`, query, { uid: true })) {
      batch.push(row(account, message, await simpleParser(message.source)));
      if (batch.length === BATCH) {
        await insert(pool, batch);
        batch = [];
      }
    }
    await insert(pool, batch);
  } finally {
    await client.logout();
  }
}

// PostgreSQL takes no NUL.
const clean = (text) => text?.replaceAll("\0", "") ?? null;

function row(account, message, mail) {
  const date = mail.date && !Number.isNaN(mail.date.getTime()) ? mail.date : null;
  const files = mail.attachments.map(({ filename, contentType, size, cid }) => ({
    filename,
    contentType,
    size,
    cid,
  }));
  return [
    account,
    message.uid,
    clean(mail.messageId),
    clean(mail.subject),
    clean(mail.from?.text),
    clean([mail.to].flat().map((to) => to?.text).join(", ")),
    date,
    [...message.flags].join(" "),
    message.size,
    clean(mail.text),
    clean(mail.html || null),
    JSON.stringify(files).replaceAll("\\u0000", ""),
  ];
}

async function insert(pool, batch) {
  if (batch.length) {
    await pool.query(INSERT, batch[0].map((_, column) => batch.map((one) => one[column])));
  }
}

function work(concurrency) {
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: concurrency });
  const run = async (job) => {
    const started = now();
    await sync(pool, job.data.account);
    tell({ ...job.data, started, finished: now() });
  };
  return new Worker("sync", run, { connection, concurrency });
}

function none(concurrency) {
  const run = async (job) => {
    if (job.data.asked) tell({ ...job.data, started: now() });
  };
  return new Worker("none", run, { connection, concurrency, removeOnComplete: { count: 0 } });
}

// {"queue": "none", "account": "…", "many": 5000, "person": true}
async function ask() {
  const queues = {};
  for await (const line of createInterface({ input: process.stdin })) {
    const { queue: name, accounts, many, person } = JSON.parse(line);
    const queue = (queues[name] ??= new Queue(name, { connection }));
    await queue.waitUntilReady();
    const asked = now();
    if (many) await queue.addBulk(Array.from({ length: many }, () => ({ name, data: {} })));
    // Jobs without a priority are taken before all others.
    else if (person) await queue.add(name, { account: accounts[0], asked, person });
    else {
      const jobs = accounts.map((account) => ({ name, data: { account, asked }, opts: { priority: 10 } }));
      await queue.addBulk(jobs);
    }
    tell({ added: now(), asked });
  }
  await Promise.all(Object.values(queues).map((queue) => queue.close()));
}

const [what, concurrency] = process.argv.slice(2);
if (what === "ask") {
  await ask();
} else {
  const worker = { work, none }[what](Number(concurrency));
  worker.on("failed", (job, error) => tell({ ...job?.data, failed: error.message }));
  worker.on("error", (error) => tell({ failed: error.message }));
  await worker.waitUntilReady();
  tell({ ready: now() });
  process.on("SIGTERM", async () => {
    await worker.close();
    process.exit(0);
  });
}
