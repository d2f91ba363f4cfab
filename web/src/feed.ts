/** The messages of one view: what is loaded, and how it is brought up to date. */

import { coalesce } from "postwire-react";
import type { MessageQuery } from "./api";
import type { MessagePage } from "./model";
import { appendPage, mergeNewest, reaches } from "./pages";

const PAGE = 50;
/** The most the API gives at once. */
const LARGEST_PAGE = 200;
/** Pages fetched to reach what is loaded after a long absence, before starting afresh. */
const CATCH_UP_PAGES = 5;
/** Least milliseconds between two refetches, so that a burst of events is not a burst of calls. */
const REFRESH_GAP_MS = 300;

export interface FeedState {
  page: MessagePage | null;
  /** Why the list could not be fetched or brought up to date. */
  error: Error | null;
  loadingOlder: boolean;
  olderError: Error | null;
}

type FetchPage = (query: Omit<MessageQuery, "accountId">) => Promise<MessagePage>;

export class MessageFeed {
  state: FeedState = { page: null, error: null, loadingOlder: false, olderError: null };
  readonly #fetch: FetchPage;
  readonly #observers = new Set<() => void>();
  /** One request at a time: an older page behind a list that changes meanwhile leaves a hole. */
  #lane: Promise<unknown> = Promise.resolve();

  constructor(fetchPage: FetchPage) {
    this.#fetch = fetchPage;
  }

  observe = (observer: () => void): (() => void) => {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  };

  /** Brings the list up to date; rejects where that failed, and says why in `state.error`. */
  refresh = coalesce(() => this.#inLane(() => this.#refresh()), REFRESH_GAP_MS);

  /** Loads the next older page; a failure is told in `state.olderError` alone. */
  loadOlder = async (): Promise<void> => {
    if (this.state.loadingOlder || !this.state.page?.nextCursor) return;
    this.#set({ loadingOlder: true, olderError: null });
    await this.#inLane(() => this.#loadOlder());
  };

  #inLane(work: () => Promise<void>): Promise<void> {
    const run = this.#lane.then(work);
    this.#lane = run.catch(() => undefined);
    return run;
  }

  async #refresh(): Promise<void> {
    try {
      const newest = await this.#newest();
      const page = this.state.page ? mergeNewest(this.state.page, newest) : newest;
      this.#set({ page, error: null });
    } catch (error) {
      this.#set({ error: asError(error) });
      throw error;
    }
  }

  /** As many of the newest messages as are loaded, and more until they meet the loaded ones. */
  async #newest(): Promise<MessagePage> {
    const known = this.state.page ?? { messages: [], nextCursor: null };
    const limit = Math.min(Math.max(PAGE, known.messages.length), LARGEST_PAGE);
    let newest = await this.#fetch({ limit });
    for (let pages = 1; pages < CATCH_UP_PAGES && !reaches(newest, known); pages++) {
      const next = await this.#fetch({ cursor: newest.nextCursor, limit: LARGEST_PAGE });
      newest = appendPage(newest, next);
    }
    return newest;
  }

  async #loadOlder(): Promise<void> {
    const { page } = this.state;
    try {
      if (!page?.nextCursor) return;
      const older = await this.#fetch({ cursor: page.nextCursor, limit: PAGE });
      this.#set({ page: appendPage(page, older) });
    } catch (error) {
      this.#set({ olderError: asError(error) });
    } finally {
      this.#set({ loadingOlder: false });
    }
  }

  #set(change: Partial<FeedState>): void {
    this.state = { ...this.state, ...change };
    for (const observer of this.#observers) observer();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
