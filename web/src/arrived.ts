/** Mail that has just come; the events that tell of it carry no content. */

import type { SyncEvent } from "postwire-react";
import type { Api } from "./api";
import type { MessageSummary } from "./model";

/** How many messages the events tell of. */
export function countOf(events: SyncEvent[]): number {
  return events.reduce((sum, event) => sum + event.count, 0);
}

/** The one message that came, where it is one and can be fetched. */
export async function onlyMessageOf(api: Api, events: SyncEvent[]): Promise<MessageSummary | null> {
  const [only] = events;
  if (!only || countOf(events) !== 1) return null;
  try {
    const { messages } = await api.messages({ accountId: only.accountId, limit: 5 });
    return messages.find(({ direction }) => direction === "inbound") ?? null;
  } catch {
    return null;
  }
}
