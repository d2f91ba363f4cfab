import { useCallback, useEffect, useRef, useState } from "react";
import type { LinkStatus } from "./link.js";
import type { SyncEvent } from "./model.js";
import { useAccountRoom } from "./useAccountRoom.js";
import { useSocket } from "./useSocket.js";

export interface EmailUpdates {
  /** New messages (not events) since the page opened or `resetCount` was called. */
  newEmailCount: number;
  resetCount: () => void;
  /** The newest `email:synced` or `email:new` payload. */
  lastUpdate: SyncEvent | null;
  status: LinkStatus;
}

interface Seen {
  accountId: string | null;
  count: number;
  lastUpdate: SyncEvent | null;
}

/** News of one account, or of all the user's accounts where `accountId` is null. */
export function useEmailUpdates(accountId: string | null = null): EmailUpdates {
  const { status, on, off } = useSocket();
  const nothing: Seen = { accountId, count: 0, lastUpdate: null };
  const [seen, setSeen] = useState(nothing);
  // What was seen of another account says nothing of this one.
  const current = seen.accountId === accountId ? seen : nothing;
  const counted = useRef(new RecentKeys());
  useAccountRoom(accountId);

  useEffect(() => {
    const see = (event: SyncEvent, arrived: number) => {
      if (accountId !== null && event.accountId !== accountId) return;
      setSeen((before) => {
        const count = before.accountId === accountId ? before.count : 0;
        return { accountId, count: count + arrived, lastUpdate: event };
      });
    };
    const synced = (event: SyncEvent) => see(event, 0);
    const arrived = (event: SyncEvent) =>
      see(event, counted.current.add(keyOf(event)) ? event.count : 0);
    on("email:synced", synced);
    on("email:new", arrived);
    return () => {
      off("email:synced", synced);
      off("email:new", arrived);
    };
  }, [accountId, on, off]);

  const resetCount = useCallback(() => setSeen((before) => ({ ...before, count: 0 })), []);
  return { newEmailCount: current.count, resetCount, lastUpdate: current.lastUpdate, status };
}

/** A batch has a revision of its own, so an event told twice has the same key. */
function keyOf(event: SyncEvent): string {
  return `${event.accountId}/${event.epoch}/${event.revision}/${event.timestamp}`;
}

/** Remembers the last keys it was given, and how to tell a new one. */
class RecentKeys {
  static readonly BOUND = 500;
  readonly #keys = new Set<string>();

  /** Whether the key was not among the last ones. */
  add(key: string): boolean {
    if (this.#keys.has(key)) return false;
    this.#keys.add(key);
    const [oldest] = this.#keys;
    if (this.#keys.size > RecentKeys.BOUND && oldest !== undefined) this.#keys.delete(oldest);
    return true;
  }
}
