/** What the API and the gateway say. Times are ISO 8601. */

/** What the hooks need of the REST API. */
export interface RealtimeApi {
  realtimeToken: () => Promise<RealtimeToken>;
}

export interface RealtimeToken {
  token: string;
  expiresAt: string;
  /** The gateway's address; empty means the page's own origin. */
  url: string;
}

/** The payload of `email:synced`, `email:new`, `sync:progress`, `sync:failed`, `account:state`. */
export interface SyncEvent {
  accountId: string;
  userId: string;
  emailAddress: string;
  /** Messages, not batches. */
  count: number;
  timestamp: string;
  type: "sync" | "push" | "flags" | "expunged" | "reset" | "progress" | "state" | "failed";
  epoch: number;
  revision: number;
  receivedAt: string | null;
  state?: string;
  stateReason?: string | null;
  done?: number;
  total?: number;
  /** Seconds that what is left will take; absent: unknown. */
  left?: number;
  error?: string;
}

export interface Room {
  userId?: string;
  accountId?: string;
}

/** The gateway's answer to `join` and `leave`. */
export interface RoomAck {
  ok: boolean;
  joined?: string[];
  left?: string[];
  error?: string;
}
