/**
 * A long list, held in pages. Pages near the screen are in memory; of the others only their place
 * is kept, and they are fetched again when somebody scrolls back to them.
 *
 * Cursors are positions in an order, so what comes in at the top moves nothing further down. Where
 * a page fetched anew ends elsewhere than before, the next one begins there and is fetched anew
 * too, once it is looked at.
 */

/** Pages in memory; those last looked at stay. */
const KEPT = 30;
/** Rows below the last one on screen that are fetched before they are seen. */
const AHEAD = 40;

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

export type FetchPage<T> = (cursor: string | null, signal: AbortSignal) => Promise<Page<T>>;

export interface ListingState {
  /** Rows known of, in memory or not. */
  count: number;
  /** Whether something was fetched yet; an empty list is one only then. */
  loaded: boolean;
  /** Whether nothing follows the last known row. */
  ended: boolean;
  /** Why what is looked at could not be fetched; nothing is, until `refresh`. */
  error: Error | null;
}

interface Slot<T> {
  cursor: string | null;
  /** Rows it had when it was last fetched. */
  count: number;
  /** Null where it was not fetched yet, or makes room for others. */
  items: T[] | null;
  stale: boolean;
  /** The newest look at it, counted. */
  looked: number;
}

export class Listing<T extends { id: string }> {
  state: ListingState = { count: 0, loaded: false, ended: false, error: null };
  readonly #fetch: FetchPage<T>;
  readonly #observers = new Set<() => void>();
  #slots: Slot<T>[] = [emptySlot<T>(null)];
  #first = 0;
  #last = 0;
  #looks = 0;
  /** Counts refreshes: what was asked for before one may not know what it is about. */
  #turn = 0;
  /** Null until it is open. */
  #leaving: AbortController | null = null;
  #running: Promise<void> | null = null;

  constructor(fetchPage: FetchPage<T>) {
    this.#fetch = fetchPage;
  }

  observe = (observer: () => void): (() => void) => {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  };

  /** Begins to fetch what is looked at; returns what ends it. */
  open(): () => void {
    const leaving = new AbortController();
    this.#leaving = leaving;
    this.#running = null;
    void this.#run();
    return () => leaving.abort();
  }

  /** The row at that place; undefined while it is not in memory. */
  at(index: number): T | undefined {
    let start = 0;
    for (const { count, items } of this.#slots) {
      if (index < start + count) return items?.[index - start];
      start += count;
    }
    return undefined;
  }

  /** Where that row is, of two places the one nearer to `hint`; -1 where it is not in memory. */
  indexOf(id: string, hint = 0): number {
    let start = 0;
    let found = -1;
    for (const { count, items } of this.#slots) {
      const within = items?.findIndex((item) => item.id === id) ?? -1;
      const index = start + within;
      if (within >= 0 && (found < 0 || Math.abs(index - hint) < Math.abs(found - hint))) {
        found = index;
      }
      start += count;
    }
    return found;
  }

  /** Says which rows are on the screen; these are fetched where they are not at hand. */
  look(first: number, last: number): void {
    this.#first = first;
    this.#last = last;
    if (!this.state.error) void this.#run();
  }

  /** Fetches what is on the screen anew, the rest when it is looked at; rejects where it fails. */
  refresh = async (): Promise<void> => {
    this.#turn++;
    for (const slot of this.#slots) slot.stale = true;
    await this.#run();
    if (this.state.error) throw this.state.error;
  };

  async #run(): Promise<void> {
    if (!this.#leaving) return;
    this.#running ??= this.#work(this.#leaving.signal);
    await this.#running;
  }

  /** One request at a time: each page begins where the one before has ended. */
  async #work(signal: AbortSignal): Promise<void> {
    // It cannot end before it is known to run.
    await Promise.resolve();
    for (let next = this.#next(); next && !signal.aborted; next = this.#next()) {
      if (!(await this.#load(next, signal))) break;
    }
    if (!signal.aborted) this.#running = null;
  }

  /** The first page that is looked at and not at hand. */
  #next(): Slot<T> | undefined {
    let start = 0;
    this.#looks++;
    for (const slot of this.#slots) {
      if (start > this.#last + AHEAD) return undefined;
      const seen = start + slot.count > this.#first || slot.count === 0;
      if (seen) slot.looked = this.#looks;
      if (seen && (!slot.items || slot.stale)) return slot;
      start += slot.count;
    }
    return undefined;
  }

  /** Whether it could be fetched; why not stays told until something can be. */
  async #load(slot: Slot<T>, signal: AbortSignal): Promise<boolean> {
    const turn = this.#turn;
    try {
      const page = await this.#fetch(slot.cursor, signal);
      if (!signal.aborted) this.#put(slot, page, turn);
      return true;
    } catch (error) {
      if (!signal.aborted) this.#tell({ error: error as Error });
      return false;
    }
  }

  #put(slot: Slot<T>, { items, nextCursor }: Page<T>, turn: number): void {
    Object.assign(slot, { items, count: items.length, stale: turn !== this.#turn });
    const following = this.#slots.indexOf(slot) + 1;
    const next = this.#slots[following];
    if (nextCursor === null) {
      this.#slots.length = following;
    } else if (!next) {
      this.#slots.push(emptySlot<T>(nextCursor));
    } else if (next.cursor !== nextCursor) {
      next.cursor = nextCursor;
      next.stale = true;
    }
    this.#makeRoom();
    this.#tell({
      error: null,
      count: this.#slots.reduce((sum, { count }) => sum + count, 0),
      loaded: true,
      ended: this.#slots.every(({ count, items: known }) => known !== null || count > 0),
    });
  }

  #makeRoom(): void {
    const held = this.#slots.filter(({ items }) => items?.length);
    const oldest = held.toSorted((a, b) => a.looked - b.looked);
    for (const slot of oldest.slice(0, Math.max(0, held.length - KEPT))) slot.items = null;
  }

  #tell(change: Partial<ListingState>): void {
    this.state = { ...this.state, ...change };
    for (const observer of this.#observers) observer();
  }
}

function emptySlot<T>(cursor: string | null): Slot<T> {
  return { cursor, count: 0, items: null, stale: false, looked: 0 };
}
