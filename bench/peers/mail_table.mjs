// What the peers store of a message, in a table of their own.
import pg from "pg";

const COLUMNS = [
  "account", "message_id", "in_reply_to", "refs", "subject", "sender", "receivers", "cc",
  "sent_at", "text", "html", "attachments",
];

/** The table, made where it is missing. */
export async function open() {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  const table = process.env.TABLE;
  await client.query(`CREATE TABLE IF NOT EXISTS ${table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account text NOT NULL, message_id text,
    in_reply_to text, refs text[], subject text, sender text, receivers text, cc text,
    sent_at timestamptz, text text, html text, attachments jsonb)`);
  await client.query(`CREATE INDEX IF NOT EXISTS ${table}_message_id ON ${table} (message_id)`);
  return {
    async has(messageId) {
      const found = await client.query(`SELECT id FROM ${table} WHERE message_id = $1`, [messageId]);
      return found.rowCount > 0;
    },
    async insert(rows) {
      const places = rows.map((row, n) => `(${row.map((_, m) => `$${n * row.length + m + 1}`)})`);
      await client.query(`INSERT INTO ${table} (${COLUMNS}) VALUES ${places}`, rows.flat());
    },
    async count() {
      return Number((await client.query(`SELECT count(*) FROM ${table}`)).rows[0].count);
    },
    close: () => client.end(),
  };
}

/** A row of what simpleParser made of a message. */
export function row(account, mail) {
  const attachments = mail.attachments.map((one) => ({
    name: one.filename, type: one.contentType, size: one.size, id: one.contentId,
  }));
  return [
    account, mail.messageId, mail.inReplyTo, [mail.references ?? []].flat(), mail.subject,
    mail.from?.text, mail.to?.text, mail.cc?.text, mail.date, mail.text, mail.html || null,
    JSON.stringify(attachments),
  ].map(withoutNul);
}

// PostgreSQL's text has no NUL, and broken mail has.
function withoutNul(value) {
  return typeof value === "string" ? value.replaceAll("\0", "") : (value ?? null);
}
