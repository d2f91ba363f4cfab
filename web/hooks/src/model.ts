/** What the API and the gateway say. Times are ISO 8601. */

/** What the hooks need of the REST API. A rejection says in `status` what HTTP status came, if any. */
export interface PostwireApi {
  realtimeToken: () => Promise<RealtimeToken>;
  /** All of the user's accounts, with how far each has come. */
  accounts: () => Promise<readonly AccountPosition[]>;
  /** One page of what has changed in an account since `since`. */
  changes: (accountId: string, since: Position) => Promise<ChangesPage>;
}

export interface RealtimeToken {
  token: string;
  expiresAt: string;
  /** The gateway's address; empty means the page's own origin. */
  url: string;
}

/** How far something has come: revisions count up within an epoch. */
export interface Position {
  epoch: number;
  revision: number;
}

export interface AccountPosition extends Position {
  id: string;
}

/** What has changed in an account. */
export interface AccountChanges {
  accountId: string;
  added: MessageSummary[];
  changed: MessageSummary[];
  /** Ids of messages that are gone. */
  expunged: string[];
  /** Load again what is shown of the account: nothing was loaded yet, or it cannot be told. */
  reset: boolean;
}

export interface ChangesPage extends AccountChanges, Position {
  more: boolean;
}

export interface Person {
  name: string;
  address: string;
}

export interface MessageSummary {
  id: string;
  accountId: string;
  conversationId: string | null;
  mailboxes: string[];
  subject: string;
  from: Person[];
  to: Person[];
  date: string | null;
  internalDate: string;
  direction: "inbound" | "outbound";
  snippet: string;
  unread: boolean;
  flags: string[];
  hasAttachments: boolean;
  /** Bytes, as the mail server counts them. */
  size: number;
  revision: number;
  /** What could not be read of this message, in words. */
  problem: string | null;
}

/** The payload of `email:synced`, `email:new`, `sync:progress`, `sync:failed`, `account:state`. */
export interface SyncEvent extends Position {
  accountId: string;
  userId: string;
  emailAddress: string;
  /** Messages, not batches. */
  count: number;
  timestamp: string;
  type: "sync" | "push" | "flags" | "expunged" | "reset" | "progress" | "state" | "failed";
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
  /** With an account: the newest that the gateway knows of it, never more than is true. */
  position?: Position | null;
}
