import { changesPath, type ChangesPage, type Position, type RealtimeToken } from "postwire-react";
import type {
  Account,
  Aside,
  Conversation,
  ConversationPage,
  Job,
  Mailbox,
  Message,
  MessagePage,
  NewAccount,
  SearchPage,
  Suggestion,
} from "./model";

const TIMEOUT_MS = 15_000;
/** Adding an account waits for a foreign IMAP server's greeting and login. */
const LOGIN_TIMEOUT_MS = 60_000;
/** The API waits 20 s for the mail server; then the bytes have to come. */
const ATTACHMENT_TIMEOUT_MS = 300_000;

/** Raised when the API refuses, cannot be reached, or answers something else than JSON. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** The HTTP status; 0 where no answer came. */
  readonly status: number;
  readonly title: string;
  /** For programs, such as `/problems/login-failed`; empty where the API names none. */
  readonly type: string;

  constructor(status: number, title: string, detail?: string, type = "") {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.type = type;
  }
}

export interface ApiOptions {
  token: string;
  /** Called on each 401 with the API's reason in words. */
  onUnauthorized: (reason: string) => void;
  /** Origin of the API; empty for the page's own. */
  origin?: string;
}

interface Call {
  method?: string;
  body?: unknown;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

export interface MessageQuery {
  accountId?: string | null;
  cursor?: string | null;
  limit?: number;
}

export interface ConversationQuery extends MessageQuery {
  /** The name of a mailbox in which some message of the conversation lies. */
  mailbox?: string | null;
}

export interface SearchQuery {
  q: string;
  accountId?: string | null;
  cursor?: string | null;
}

/** Told while bytes arrive; `total` is null where the server does not say it. */
export type OnProgress = (received: number, total: number | null) => void;

export type Api = ReturnType<typeof createApi>;

/** The REST API with one bearer. Every call ends in time and fails with an `ApiError` only. */
export function createApi({ token, onUnauthorized, origin = "" }: ApiOptions) {
  const call = <T>(path: string, options: Call = {}) => receive(path, options, json<T>);

  async function receive<T>(
    path: string,
    options: Call,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    try {
      return await send(origin + path, token, options, read);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) onUnauthorized(error.message);
      throw error;
    }
  }

  return {
    accounts: async () => (await call<{ accounts: Account[] }>("/api/accounts")).accounts,
    addAccount: (account: NewAccount) =>
      call<Account>("/api/accounts", {
        method: "POST",
        body: account,
        timeoutMs: LOGIN_TIMEOUT_MS,
      }),
    /** Where an address logs in, as far as that can be found out; the best first. */
    discover: async (address: string, signal?: AbortSignal) => {
      const path = `/api/accounts/discover?${new URLSearchParams({ address }).toString()}`;
      return (await call<{ suggestions: Suggestion[] }>(path, { signal })).suggestions;
    },
    account: (id: string) => call<Account>(accountPath(id)),
    pauseAccount: (id: string) => call<Account>(`${accountPath(id)}/pause`, { method: "POST" }),
    resumeAccount: (id: string) => call<Account>(`${accountPath(id)}/resume`, { method: "POST" }),
    removeAccount: (id: string) =>
      receive(accountPath(id), { method: "DELETE" }, async () => undefined),
    changePassword: (id: string, password: string) =>
      call<Account>(`${accountPath(id)}/credential`, {
        method: "PUT",
        body: { password },
        timeoutMs: LOGIN_TIMEOUT_MS,
      }),
    messages: (query: MessageQuery) => call<MessagePage>(`/api/messages${queryString(query)}`),
    message: (id: string, signal?: AbortSignal) =>
      call<Message>(`/api/messages/${encodeURIComponent(id)}`, { signal }),
    conversations: (query: ConversationQuery, signal?: AbortSignal) =>
      call<ConversationPage>(`/api/conversations${queryString(query)}`, { signal }),
    conversation: (id: string, signal?: AbortSignal) =>
      call<Conversation>(`/api/conversations/${encodeURIComponent(id)}`, { signal }),
    /** The messages of a conversation, the newest first. */
    messagesOf: (
      id: string,
      query: { cursor?: string | null; limit: number },
      signal?: AbortSignal,
    ) => {
      const params = queryString({ ...query, order: "newest" });
      const path = `/api/conversations/${encodeURIComponent(id)}/messages${params}`;
      return call<MessagePage>(path, { signal });
    },
    mailboxes: async (accountId: string) => {
      const path = `/api/accounts/${encodeURIComponent(accountId)}/mailboxes`;
      return (await call<{ mailboxes: Mailbox[] }>(path)).mailboxes;
    },
    setAside: async (accountId: string) => {
      const path = `/api/accounts/${encodeURIComponent(accountId)}/set-aside`;
      return (await call<{ setAside: Aside[] }>(path)).setAside;
    },
    retrySetAside: (accountId: string) =>
      call<{ jobId: string | null }>(
        `/api/accounts/${encodeURIComponent(accountId)}/set-aside/retry`,
        { method: "POST" },
      ),
    attachment: async (id: string, n: number, signal?: AbortSignal, onProgress?: OnProgress) => {
      const path = `/api/messages/${encodeURIComponent(id)}/attachments/${n}`;
      const options = { signal, timeoutMs: ATTACHMENT_TIMEOUT_MS };
      return receive(path, options, (response) => bytesOf(response, onProgress));
    },
    search: (query: SearchQuery, signal?: AbortSignal) =>
      call<SearchPage>(`/api/search${queryString(query)}`, { signal }),
    sync: (accountId: string) =>
      call<{ jobId: string }>("/api/email/sync", { method: "POST", body: { accountId } }),
    job: (id: string) => call<Job>(`/api/jobs/${encodeURIComponent(id)}`),
    changes: (accountId: string, since: Position) =>
      call<ChangesPage>(changesPath(accountId, since)),
    realtimeToken: () => call<RealtimeToken>("/api/realtime-token", { method: "POST" }),
  };
}

function accountPath(id: string): string {
  return `/api/accounts/${encodeURIComponent(id)}`;
}

async function send<T>(
  url: string,
  token: string,
  options: Call,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const { method = "GET", body, timeoutMs = TIMEOUT_MS, signal } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  const headers: Record<string, string> = { authorization: `Bearer ${token}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    const response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    if (!response.ok) throw problemOf({ status: response.status, text: await response.text() });
    return await read(response);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (signal?.aborted) throw new ApiError(0, "Cancelled");
    if (timeout.aborted) throw tooSlow(timeoutMs);
    throw unreachable(error);
  }
}

function tooSlow(timeoutMs: number): ApiError {
  return new ApiError(0, "No answer", `The server did not answer within ${timeoutMs / 1000} s.`);
}

/** A fetch fails with a TypeError when offline, and when the bearer is no header value at all. */
function unreachable(error: unknown): ApiError {
  const header = error instanceof TypeError && /header|ByteString|code point/i.test(error.message);
  return header
    ? new ApiError(401, "Unusable token", "The token holds characters that cannot be sent.")
    : new ApiError(0, "No answer", "The server cannot be reached. Check the connection.");
}

async function json<T>(response: Response): Promise<T> {
  const text = await response.text();
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(response.status, "Unexpected answer", "The server's answer is not JSON.");
  }
}

/** The body as it arrives; the type is left to whoever knows what the bytes are for. */
async function bytesOf(response: Response, onProgress?: OnProgress): Promise<Blob> {
  if (!onProgress || !response.body) return response.blob();
  const total = Number(response.headers.get("content-length")) || null;
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  for (const reader = response.body.getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) return new Blob(pieces);
    pieces.push(value);
    received += value.length;
    onProgress(received, total);
  }
}

/** Reads an RFC 9457 problem; any other body becomes a sentence with the status. */
export function problemOf({ status, text }: { status: number; text: string }): ApiError {
  const fields = fieldsOf(text);
  const title = textOf(fields["title"]) ?? `The server answered ${status}`;
  return new ApiError(status, title, textOf(fields["detail"]), textOf(fields["type"]));
}

function fieldsOf(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() ? value : undefined;
}

function queryString(query: object): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const params = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return params.size ? `?${params.toString()}` : "";
}
