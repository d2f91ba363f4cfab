import { expect, test } from "vitest";
import { MessageFeed } from "../src/feed";
import { pause } from "../src/pause";
import { idsOf, message } from "./given";

/** A mailbox of numbered messages that answers as the API does; the cursor is a number. */
class Mailbox {
  newest: number;
  failure: Error | null = null;
  /** Milliseconds that an older page takes longer than the newest one. */
  delayOfOlder = 0;
  queries: { cursor?: string | null; limit?: number }[] = [];

  constructor(newest: number) {
    this.newest = newest;
  }

  fetch = async (query: { cursor?: string | null; limit?: number }) => {
    this.queries.push(query);
    if (this.failure) throw this.failure;
    if (query.cursor) await pause(this.delayOfOlder);
    const from = query.cursor ? Number(query.cursor) : this.newest + 1;
    const size = Math.min(query.limit ?? 50, from - 1);
    const numbers = Array.from({ length: size }, (_, index) => from - 1 - index);
    const end = from - size;
    return {
      messages: numbers.map((n) => message(n)),
      nextCursor: end > 1 ? String(end) : null,
    };
  };
}

function expectNoHole(feed: MessageFeed): void {
  const ids = idsOf(feed.state.page ?? { messages: [], nextCursor: null });
  const newest = Number(ids[0]?.slice(1));
  expect(ids).toEqual(ids.map((_, index) => `m${newest - index}`));
}

const reset = { accountId: "a1", added: [], changed: [], expunged: [], reset: true };
const newer = (n: number) => ({ ...reset, reset: false, added: [message(n)] });

test("changes while older pages are loaded keep them", async () => {
  const mailbox = new Mailbox(300);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.update([reset]);
  await feed.loadOlder();
  await feed.update([newer(301), newer(302)]);
  expect(feed.state.page?.messages).toHaveLength(102);
  expectNoHole(feed);
  expect(mailbox.queries).toHaveLength(2);
});

test("a reset loads as much as was loaded, up to the largest page", async () => {
  const mailbox = new Mailbox(500);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.update([reset]);
  for (let pages = 0; pages < 4; pages++) await feed.loadOlder();
  mailbox.newest = 900;
  await feed.update([reset]);
  expect(feed.state.page?.messages).toHaveLength(200);
  expectNoHole(feed);
});

test("loading older pages ends at the last message", async () => {
  const feed = new MessageFeed(new Mailbox(120).fetch);
  await feed.update([reset]);
  await feed.loadOlder();
  await feed.loadOlder();
  await feed.loadOlder();
  expect(feed.state.page?.messages).toHaveLength(120);
  expect(feed.state.page?.nextCursor).toBeNull();
});

test("changes that come while an older page does are put onto the list with it", async () => {
  const mailbox = new Mailbox(100);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.update([reset]);
  mailbox.delayOfOlder = 50;
  const read = { ...reset, reset: false, changed: [message(20, { snippet: "read" })] };
  await Promise.all([feed.loadOlder(), feed.update([read])]);
  expect(feed.state.page?.messages.find(({ id }) => id === "m20")?.snippet).toBe("read");
  expectNoHole(feed);
});

test("a failed load keeps the list, says why, and rejects so that it is tried again", async () => {
  const mailbox = new Mailbox(60);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.update([reset]);
  mailbox.failure = new Error("The server cannot be reached.");
  await expect(feed.update([reset])).rejects.toThrow("cannot be reached");
  expect(feed.state.error?.message).toBe("The server cannot be reached.");
  expect(feed.state.page?.messages).toHaveLength(50);
  mailbox.failure = null;
  await feed.update([reset]);
  expect(feed.state.error).toBeNull();
});
