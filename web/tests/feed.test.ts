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

test("a refetch while older pages are loaded keeps them", async () => {
  const mailbox = new Mailbox(300);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.refresh();
  await feed.loadOlder();
  mailbox.newest = 302;
  await feed.refresh();
  expect(feed.state.page?.messages).toHaveLength(102);
  expectNoHole(feed);
});

test("more new mail than one page holds is fetched until it meets the known list", async () => {
  const mailbox = new Mailbox(100);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.refresh();
  mailbox.newest = 500;
  await feed.refresh();
  expect(feed.state.page?.messages[0]?.id).toBe("m500");
  expect(feed.state.page?.messages.at(-1)?.id).toBe("m51");
  expectNoHole(feed);
});

test("after a very long absence the list starts afresh instead of having a hole", async () => {
  const mailbox = new Mailbox(100);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.refresh();
  mailbox.newest = 5000;
  await feed.refresh();
  expect(feed.state.page?.messages).toHaveLength(850);
  expectNoHole(feed);
});

test("loading older pages ends at the last message", async () => {
  const feed = new MessageFeed(new Mailbox(120).fetch);
  await feed.refresh();
  await feed.loadOlder();
  await feed.loadOlder();
  await feed.loadOlder();
  expect(feed.state.page?.messages).toHaveLength(120);
  expect(feed.state.page?.nextCursor).toBeNull();
});

test("an older page that comes late does not undo a refetch", async () => {
  const mailbox = new Mailbox(400);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.refresh();
  await pause(400);
  mailbox.newest = 420;
  mailbox.delayOfOlder = 50;
  await Promise.all([feed.loadOlder(), feed.refresh(), feed.loadOlder()]);
  expect(feed.state.page?.messages).toHaveLength(120);
  expectNoHole(feed);
});

test("a failed refetch keeps the list, says why, and rejects so that it is tried again", async () => {
  const mailbox = new Mailbox(60);
  const feed = new MessageFeed(mailbox.fetch);
  await feed.refresh();
  mailbox.failure = new Error("The server cannot be reached.");
  await expect(feed.refresh()).rejects.toThrow("cannot be reached");
  expect(feed.state.error?.message).toBe("The server cannot be reached.");
  expect(feed.state.page?.messages).toHaveLength(50);
  mailbox.failure = null;
  await feed.refresh();
  expect(feed.state.error).toBeNull();
});

test("a burst of refetches costs two calls", async () => {
  const mailbox = new Mailbox(60);
  const feed = new MessageFeed(mailbox.fetch);
  await Promise.all(Array.from({ length: 30 }, () => feed.refresh()));
  expect(mailbox.queries).toHaveLength(2);
});
