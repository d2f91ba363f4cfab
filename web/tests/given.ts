/** Messages for tests; each test says only what it is about. */

import type { MessagePage, MessageSummary } from "../src/model";

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
