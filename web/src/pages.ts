/** Arithmetic on message lists: newest first, contiguous, each message once. */

import type { AccountChanges } from "postwire-react";
import type { MessagePage, MessageSummary } from "./model";

export interface MessageList extends MessagePage {
  /** The last message of the last page, be it gone by now: what is older comes with the next one. */
  end: MessageSummary | undefined;
}

/** The newest page as a list. */
export function listOf(newest: MessagePage): MessageList {
  return { ...newest, end: newest.messages.at(-1) };
}

/** The list with an older page behind it. */
export function appendPage(list: MessageList, older: MessagePage): MessageList {
  const known = new Set(list.messages.map(({ id }) => id));
  const added = older.messages.filter((message) => !known.has(message.id));
  return {
    messages: [...list.messages, ...added],
    nextCursor: older.nextCursor,
    end: older.messages.at(-1) ?? list.end,
  };
}

/** The list with what has changed in an account; what is older than its end is left to its page. */
export function applyChanges(list: MessageList, changes: AccountChanges): MessageList {
  const end = list.nextCursor === null ? undefined : list.end;
  const byId = new Map(list.messages.map((message) => [message.id, message]));
  for (const message of [...changes.added, ...changes.changed]) {
    if (byId.has(message.id) || !end || byAge(message, end) < 0) byId.set(message.id, message);
  }
  for (const id of changes.expunged) byId.delete(id);
  return { ...list, messages: [...byId.values()].toSorted(byAge) };
}

/** The API's order: by time, and by number where that is the same. */
function byAge(a: MessageSummary, b: MessageSummary): number {
  return Date.parse(b.internalDate) - Date.parse(a.internalDate) || Number(b.id) - Number(a.id);
}
