/** Messages, accounts and events for tests; each test says only what it is about. */

import type { MessagePage, MessageSummary, SyncEvent } from "../src/model";

/** A message whose internalDate is `n` minutes into the day, so that a larger `n` is newer. */
export function message(n: number, more: Partial<MessageSummary> = {}): MessageSummary {
  return {
    id: `m${n}`,
    accountId: "a1",
    conversationId: `c${n}`,
    mailboxes: ["INBOX"],
    subject: `Subject ${n}`,
    from: [{ name: "Ines Carvalho", address: "ines@example.com" }],
    to: [{ name: "", address: "mara@example.com" }],
    date: null,
    internalDate: new Date(Date.UTC(2025, 5, 1) + n * 60_000).toISOString(),
    direction: "inbound",
    snippet: "",
    unread: false,
    flags: [],
    hasAttachments: false,
    size: 1000,
    revision: 1,
    problem: null,
    ...more,
  };
}

export function page(numbers: number[], nextCursor: string | null): MessagePage {
  return { messages: numbers.map((n) => message(n)), nextCursor };
}

export function idsOf({ messages }: MessagePage): string[] {
  return messages.map(({ id }) => id);
}

let revision = 0;

export function syncEvent(more: Partial<SyncEvent> = {}): SyncEvent {
  return {
    accountId: "a1",
    userId: "u1",
    emailAddress: "mara@example.com",
    count: 1,
    timestamp: "2025-06-01T00:00:00Z",
    type: "push",
    epoch: 1,
    revision: ++revision,
    receivedAt: null,
    ...more,
  };
}
