/** The messages of one view: what is loaded, and how it is brought up to date. */

import type { AccountChanges } from "postwire-react";
import type { MessageQuery } from "./api";
import type { MessagePage } from "./model";
import { appendPage, applyChanges, listOf, type MessageList } from "./pages";

const PAGE = 50;
/** The most the API gives at once. */
const LARGEST_PAGE = 200;

export interface FeedState {
  page: MessageList | null;
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
  update = (batch: AccountChanges[]): Promise<void> =>
    this.#inLane(async () => {
      const { page } = this.state;
      if (!page || batch.some(({ reset }) => reset)) await this.#load();
      else this.#set({ page: batch.reduce(applyChanges, page) });
    });

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

  /** As many of the newest messages as are loaded already, if the API gives as many. */
  async #load(): Promise<void> {
    const loaded = this.state.page?.messages.length ?? 0;
    const limit = Math.min(Math.max(PAGE, loaded), LARGEST_PAGE);
    try {
      this.#set({ page: listOf(await this.#fetch({ limit })), error: null });
    } catch (error) {
      this.#set({ error: asError(error) });
      throw error;
    }
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
