import type {
  AccountPosition,
  ChangesPage,
  PostwireApi,
  Position,
  RealtimeToken,
} from "./model.js";

const TIMEOUT_MS = 15_000;
/** The most that the API gives at once. */
const PAGE = 200;

/** Raised when the API refuses or does not answer. */
export class RestError extends Error {
  override readonly name = "RestError";
  /** The HTTP status; 0 where no answer came. */
  readonly status: number;

  constructor(status: number, words: string) {
    super(words);
    this.status = status;
  }
}

/**
 * Postwire's REST API at `baseUrl`, such as `https://mail.example.com`; `bearer` is asked before
 * each call. Make it once, not while rendering.
 */
export function restApi(baseUrl: string, bearer: () => string | Promise<string>): PostwireApi {
  const call = async <T>(path: string, method = "GET"): Promise<T> => {
    const headers = { authorization: `Bearer ${await bearer()}` };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(baseUrl + path, { method, headers, signal }).catch(notReached);
    if (!response.ok) throw new RestError(response.status, `The API answered ${response.status}.`);
    return (await response.json()) as T;
  };
  return {
    realtimeToken: () => call<RealtimeToken>("/api/realtime-token", "POST"),
    accounts: async () => (await call<{ accounts: AccountPosition[] }>("/api/accounts")).accounts,
    changes: (accountId, since) => call<ChangesPage>(changesPath(accountId, since)),
  };
}

function notReached(reason: unknown): never {
  throw new RestError(0, `The API cannot be reached: ${String(reason)}`);
}

/** Where the API tells what has changed in an account since `since`. */
export function changesPath(accountId: string, { epoch, revision }: Position): string {
  const id = encodeURIComponent(accountId);
  return `/api/accounts/${id}/changes?since=${revision}&epoch=${epoch}&limit=${PAGE}`;
}
