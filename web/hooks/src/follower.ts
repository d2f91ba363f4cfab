/**
 * Follows accounts: how far each has come here, and what is to be told of it.
 *
 * An account is told in whole: all pages of its changes are fetched first, then handed over at once,
 * and only then has it come further. Whatever fails is tried again from where it was.
 */

import { inLanes } from "./lanes.js";
import type { Link } from "./link.js";
import type { AccountChanges, AccountPosition, ChangesPage, Position, SyncEvent } from "./model.js";
import { backoff, pause } from "./pause.js";
import { isAfter, isSame } from "./position.js";

/** Takes what has changed. Once it resolves, this is shown; where it rejects, it is asked again. */
export type OnChanges = (batch: AccountChanges[]) => void | Promise<void>;

/** An account's id, or the account with a position that is older than what will be shown. */
export type Account = string | AccountPosition;

/** Accounts whose changes are fetched at the same time. */
const LANES = 4;
/** Pages of changes that are gathered of one account; with more, loading again is less. */
const MAX_PAGES = 10;
/** Least milliseconds between two rounds, so that a burst of events is not a burst of calls. */
const ROUND_GAP_MS = 300;
/** How long a room's answer is waited for, where it saves asking the API. */
const JOIN_PATIENCE_MS = 2000;
/** How often we compare with the API although nothing was heard, and how soon after hints. */
const CHECK_EVERY_MS = 300_000;
const CHECK_SOON_MS = 45_000;
const EVENTS = ["email:synced", "email:new", "sync:progress", "sync:failed", "account:state"];

interface Followed {
  accountId: string;
  /** The room's answer. */
  joined: Promise<unknown>;
  /** What is shown is at least as new; null until it is known. */
  at: Position | null;
  /** More has been heard of than was fetched. */
  behind: boolean;
  /** Whether what is shown of it was loaded. */
  loaded: boolean;
}

/** What is to be handed over of an account, and how far it has come by then. */
interface Told {
  account: Followed;
  at: Position;
  changes: AccountChanges;
}

export class Follower {
  readonly #link: Link;
  readonly #onChanges: OnChanges;
  readonly #followed = new Map<string, Followed>();
  readonly #stopCatchUps: () => void;
  #running = false;
  #stopped = false;
  /** Counts the `reload`s: what was loaded under an older number is not what is shown. */
  #view = 0;
  #goOn: () => void = () => undefined;
  /** Over when the next round may begin. */
  #gap: Promise<void> = Promise.resolve();
  #checkTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(link: Link, onChanges: OnChanges) {
    this.#link = link;
    this.#onChanges = onChanges;
    this.#stopCatchUps = link.onCatchUp(this.#compare);
    for (const event of EVENTS) link.on(event, this.#hear);
    this.#checkIn(CHECK_EVERY_MS);
  }

  /** Follows these accounts and no others; a position that comes with one is where it begins. */
  follow(accounts: readonly Account[]): void {
    const wanted = new Map(accounts.map((account) => [idOf(account), positionOf(account)]));
    for (const accountId of this.#followed.keys()) {
      if (!wanted.has(accountId)) this.#leave(accountId);
    }
    for (const [accountId, at] of wanted) {
      if (!this.#followed.has(accountId)) this.#join(accountId, at);
    }
    this.#run();
  }

  /** What is shown is no longer what was loaded: each account begins with `reset` again. */
  reload(): void {
    this.#view++;
    for (const account of this.#followed.values()) account.loaded = false;
    this.#run();
  }

  /** Tries again at once what has failed. */
  retry = (): void => this.#goOn();

  stop(): void {
    this.#stopped = true;
    for (const accountId of this.#followed.keys()) this.#leave(accountId);
    for (const event of EVENTS) this.#link.off(event, this.#hear);
    this.#stopCatchUps();
    clearTimeout(this.#checkTimer);
    this.#link.release(this);
    this.#goOn();
  }

  #join(accountId: string, at: Position | null): void {
    const joined = this.#link.join({ accountId });
    const account = { accountId, joined, at, behind: false, loaded: false };
    this.#followed.set(accountId, account);
  }

  #leave(accountId: string): void {
    this.#followed.delete(accountId);
    void this.#link.leave({ accountId });
  }

  /** An event is a hint: it may be late, and then says less than we know. */
  #hear = (event: SyncEvent): void => this.#hint(event.accountId, event);

  #hint(accountId: string, position: Position): void {
    const account = this.#followed.get(accountId);
    if (!account || (account.at && !isAfter(position, account.at))) return;
    account.behind = true;
    this.#run();
  }

  /** What the API says is so, also where it is less: then the database was restored. */
  async #ask(accounts: readonly Followed[]): Promise<void> {
    const positions = await this.#link.positions();
    for (const account of accounts) {
      const position = positions.get(account.accountId);
      if (!account.at) account.at = position ?? null;
      else if (position && !isSame(position, account.at)) account.behind = true;
      // It was removed, so nothing of it is missing; the app will hear and follow it no longer.
      if (!position) this.#leave(account.accountId);
    }
    this.#run();
  }

  /** After each connect and `resync`: whether something was missed. */
  #compare = async (): Promise<void> => {
    const unsure: Followed[] = [];
    for (const account of this.#followed.values()) {
      const position = this.#link.takePosition(account.accountId);
      if (!account.at) account.at = position;
      else if (position) this.#hint(account.accountId, position);
      else unsure.push(account);
    }
    // What the gateway knows may be less than is so: the API is asked too, when not all ask at once.
    this.#checkIn(CHECK_SOON_MS);
    this.#goOn();
    if (unsure.length > 0) await this.#ask(unsure);
  };

  #checkIn(ms: number): void {
    clearTimeout(this.#checkTimer);
    this.#checkTimer = setTimeout(() => void this.#check(), ms * (0.5 + Math.random()));
  }

  async #check(): Promise<void> {
    const accounts = [...this.#followed.values()].filter(({ at }) => at);
    await this.#ask(accounts).catch(() => undefined);
    if (!this.#stopped) this.#checkIn(CHECK_EVERY_MS);
  }

  /** Rounds until nothing is missing, one at a time; the link is not live meanwhile. */
  #run(): void {
    if (this.#stopped || this.#running || !this.#isBehind()) return;
    this.#running = true;
    this.#link.hold(this);
    void this.#rounds().finally(() => {
      this.#running = false;
      this.#link.release(this);
      this.#run();
    });
  }

  async #rounds(): Promise<void> {
    // Accounts that are followed in one go have one round.
    await this.#gap;
    for (let failures = 0; !this.#stopped && this.#isBehind();) {
      try {
        await this.#round();
        failures = 0;
        this.#gap = pause(ROUND_GAP_MS);
        if (this.#isBehind()) await this.#gap;
      } catch {
        await this.#rest(backoff(failures++));
      }
    }
  }

  /** Brings all accounts together as far as is possible now, then rejects where one failed. */
  async #round(): Promise<void> {
    await this.#locate();
    const behind = [...this.#followed.values()].filter(isBehind);
    const results = await inLanes(behind, LANES, (account) => this.#gather(account));
    const told = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    await this.#handOver(told.filter(({ account }) => this.#isFollowed(account)));
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** Where to begin, before anything is loaded: by the room's answer, else by the API. */
  async #locate(): Promise<void> {
    const nowhere = [...this.#followed.values()].filter(({ at }) => !at);
    if (nowhere.length === 0) return;
    if (this.#link.isConnected) await answersOf(nowhere);
    for (const account of nowhere) account.at ??= this.#link.takePosition(account.accountId);
    const unknown = nowhere.filter(({ at }) => !at);
    if (unknown.length > 0) await this.#ask(unknown);
  }

  /** What is to be told of an account, in whole; nothing where it has to be located anew. */
  async #gather(account: Followed): Promise<Told[]> {
    const { accountId, at } = account;
    if (!at) return [];
    account.behind = false;
    if (!account.loaded) return [{ account, at, changes: nothing(accountId, true) }];
    try {
      const told = await this.#pages(accountId, at);
      if (!told) account.at = null;
      if (!told) account.loaded = false;
      return told ? [{ account, at: told, changes: told }] : [];
    } catch (error) {
      account.behind = true;
      if (statusOf(error) !== 404) throw error;
      this.#leave(accountId);
      return [];
    }
  }

  /** All pages since `at` as one, or null where they cannot be told or are too many. */
  async #pages(accountId: string, at: Position): Promise<(AccountChanges & Position) | null> {
    const all = { ...nothing(accountId, false), ...at };
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const page = await this.#link.api.changes(accountId, all);
      if (page.reset) return null;
      append(all, page);
      if (!page.more) return all;
    }
    return null;
  }

  async #handOver(told: Told[]): Promise<void> {
    const view = this.#view;
    const batch = told.map(({ changes }) => changes).filter(saysSomething);
    try {
      if (batch.length > 0 && !this.#stopped) await this.#onChanges(batch);
    } catch (error) {
      // Nobody knows what of it is shown.
      for (const { account } of told) account.loaded = false;
      throw error;
    }
    for (const { account, at } of told) {
      account.at = { epoch: at.epoch, revision: at.revision };
      if (view === this.#view) account.loaded = true;
    }
  }

  async #rest(ms: number): Promise<void> {
    await Promise.race([pause(ms), new Promise<void>((resolve) => (this.#goOn = resolve))]);
  }

  #isFollowed(account: Followed): boolean {
    return this.#followed.get(account.accountId) === account;
  }

  #isBehind(): boolean {
    return [...this.#followed.values()].some(isBehind);
  }
}

export function idOf(account: Account): string {
  return typeof account === "string" ? account : account.id;
}

function positionOf(account: Account): Position | null {
  return typeof account === "string" ? null : account;
}

function isBehind({ at, behind, loaded }: Followed): boolean {
  return !at || behind || !loaded;
}

async function answersOf(accounts: readonly Followed[]): Promise<void> {
  const joined = Promise.all(accounts.map((account) => account.joined));
  await Promise.race([joined, pause(JOIN_PATIENCE_MS)]);
}

function nothing(accountId: string, reset: boolean): AccountChanges {
  return { accountId, added: [], changed: [], expunged: [], reset };
}

function append(all: AccountChanges & Position, page: ChangesPage): void {
  all.added.push(...page.added);
  all.changed.push(...page.changed);
  all.expunged.push(...page.expunged);
  all.epoch = page.epoch;
  all.revision = page.revision;
}

function saysSomething({ added, changed, expunged, reset }: AccountChanges): boolean {
  return reset || added.length + changed.length + expunged.length > 0;
}

function statusOf(error: unknown): unknown {
  return typeof error === "object" && error !== null && "status" in error ? error.status : null;
}
