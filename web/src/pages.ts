/** Arithmetic on message lists: newest first, contiguous, each message once. */

import type { MessagePage, MessageSummary } from "./model";

/** The list with an older page behind it. */
export function appendPage(list: MessagePage, older: MessagePage): MessagePage {
  const known = idsOf(list.messages);
  const added = older.messages.filter((message) => !known.has(message.id));
  return { messages: [...list.messages, ...added], nextCursor: older.nextCursor };
}

/** Whether the newest page reaches into the known list, so that no hole lies between them. */
export function reaches(newest: MessagePage, known: MessagePage): boolean {
  if (newest.nextCursor === null || known.messages.length === 0) return true;
  const ids = idsOf(newest.messages);
  return known.messages.some((message) => ids.has(message.id));
}

/**
 * The known list brought up to date by a fresh newest page: new messages come in, expunged ones
 * go, and what is older than the page stays loaded. Where the two do not touch, the page replaces
 * the list, since a list with a hole would hide mail.
 */
export function mergeNewest(known: MessagePage, newest: MessagePage): MessagePage {
  if (newest.nextCursor === null || !reaches(newest, known)) return newest;
  const kept = olderThanPage(known.messages, newest.messages);
  if (kept.length === 0) return newest;
  return { messages: [...newest.messages, ...kept], nextCursor: known.nextCursor };
}

/** Known messages behind the last one shared with the page and not newer than the page's end. */
function olderThanPage(known: MessageSummary[], page: MessageSummary[]): MessageSummary[] {
  const ids = idsOf(page);
  const lastShared = known.findLastIndex((message) => ids.has(message.id));
  const end = Date.parse(page.at(-1)?.internalDate ?? "");
  return known.slice(lastShared + 1).filter((message) => !(Date.parse(message.internalDate) > end));
}

function idsOf(messages: MessageSummary[]): Set<string> {
  return new Set(messages.map((message) => message.id));
}
