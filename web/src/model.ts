/** The REST API's and the gateway's shapes, as the contract names them. Times are ISO 8601. */

import type { MessageSummary, Person } from "postwire-react";

export type { MessageSummary, Person } from "postwire-react";

export type AccountState = "connecting" | "active" | "paused" | "auth_failed" | "unreachable";
export type Security = "tls" | "starttls" | "none";

export interface Account {
  id: string;
  address: string;
  host: string;
  port: number;
  security: Security;
  username: string;
  auth: "password" | "oauth";
  /** Of OAuth; null where there is a password. */
  provider: string | null;
  /** How far back mail is kept in days; null means all of it. */
  windowDays: number | null;
  state: AccountState;
  stateReason: string | null;
  stateSince: string;
  /** Seconds between automatic syncs; null where none is scheduled. */
  syncEvery: number | null;
  /** When it is next looked at by itself; null where that is not going to happen. */
  nextSyncAt: string | null;
  /** No login is tried before: the mail server wants to be left alone. */
  busyUntil: string | null;
  lastSyncedAt: string | null;
  /** When all that is stored was last compared with the mail server. */
  auditedAt: string | null;
  epoch: number;
  revision: number;
  unread: number;
  createdAt: string;
}

export interface NewAccount {
  address: string;
  password: string;
  host: string;
  port: number;
  security: Security;
  username?: string;
}

/** Where an address may be able to log in; nothing of it was tried. */
export interface Suggestion {
  host: string;
  port: number;
  security: Security;
  username: string;
  source: "provider" | "mx" | "srv" | "guess";
  provider: string | null;
  /** The OAuth provider that could be used for it. */
  oauth: string | null;
  /** What to know before the first login, in words, and where that is explained. */
  note: string | null;
  help: string | null;
}

export interface Mailbox {
  id: string;
  name: string;
  /** As RFC 6154 has it, with its backslash; null where the server says none. */
  specialUse: string | null;
}

/** A message that could not be stored, and when that is tried again. */
export interface Aside {
  mailboxId: string;
  mailbox: string;
  uid: number;
  error: string;
  retryAt: string;
}

/** A conversation as a list shows it; `snippet` is of its newest message. */
export interface Conversation {
  id: string;
  accountId: string;
  /** Of its first message. */
  subject: string;
  /** The first 20 who appeared in it, senders and recipients. */
  participants: Person[];
  /** Those of them who came in by writing, and who wrote last. */
  senders: Person[];
  snippet: string;
  lastMessageAt: string;
  messages: number;
  unread: number;
  hasAttachments: boolean;
}

/** The one with the newest message first. */
export interface ConversationPage {
  conversations: Conversation[];
  nextCursor: string | null;
}

export interface Attachment {
  n: number;
  /** Fit to be shown and saved by. */
  filename: string;
  contentType: string;
  size: number;
  contentId: string | null;
  disposition: string | null;
}

/** An image that the HTML shows as `cid:…` and that has to be fetched. */
export interface InlineImage {
  cid: string;
  n: number;
  contentType: string;
  /** Bytes as transferred. */
  size: number;
}

export interface Message extends MessageSummary {
  cc: Person[];
  bcc: Person[];
  replyTo: Person[];
  messageId: string | null;
  inReplyTo: string | null;
  references: string[];
  text: string | null;
  /** Sanitised by the API; the address of a remote image lies in `data-src`. */
  html: string | null;
  attachments: Attachment[];
  inlineImages: InlineImage[];
}

/** Newest first; a null cursor says that nothing older exists. */
export interface MessagePage {
  messages: MessageSummary[];
  nextCursor: string | null;
}

/** A piece of an excerpt, plain text; `match` says that it is what was looked for. */
export interface Piece {
  text: string;
  match: boolean;
}

export interface SearchResult {
  message: MessageSummary;
  snippet: Piece[];
  rank: number;
}

/** Best first; a null cursor says that there is nothing more. */
export interface SearchPage {
  results: SearchResult[];
  nextCursor: string | null;
}

export interface Job {
  id: string;
  accountId: string;
  state: "waiting" | "active" | "delayed" | "completed" | "failed";
  found: number;
  error: string | null;
  /** Its place in the queue, from 1; null where it does not wait. */
  position: number | null;
}
