/** What tests speak of; each says only what it is about. */

import type {
  AccountChanges,
  ChangesPage,
  MessageSummary,
  Position,
  PostwireApi,
  SyncEvent,
} from "../src/model";
import { anId, sign, tokenFor } from "./gateway";

export function syncEvent(more: Partial<SyncEvent> = {}): SyncEvent {
  return {
    accountId: "a1",
    userId: "u1",
    emailAddress: "mara@example.com",
    count: 1,
    timestamp: "2025-06-01T00:00:00Z",
    type: "push",
    epoch: 1,
    revision: 1,
    receivedAt: null,
    ...more,
  };
}

/** One account: each message came with a revision of its own. */
export class Account {
  readonly id = anId();
  epoch = 1;
  revision = 1;
  /** The API tells so many revisions a page. */
  page = 200;
  readonly #log: { revision: number; id: string }[] = [];

  get messages(): string[] {
    return this.#log.map(({ id }) => id);
  }

  deliver(count = 1): void {
    for (let n = 0; n < count; n++) {
      this.revision++;
      this.#log.push({ revision: this.revision, id: String(this.revision) });
    }
  }

  since(since: Position): ChangesPage {
    const { id: accountId, epoch, revision } = this;
    const reset = since.epoch !== epoch || since.revision > revision;
    const missing = reset ? [] : this.#log.filter((entry) => entry.revision > since.revision);
    const told = missing.slice(0, this.page);
    const more = told.length < missing.length;
    const added = told.map(({ id }) => ({ id, accountId }) as MessageSummary);
    const upto = more ? told.at(-1)!.revision : revision;
    return { accountId, epoch, revision: upto, added, changed: [], expunged: [], more, reset };
  }
}

/** The API of one user, over accounts that tests change; it counts what it was asked. */
export class Api implements PostwireApi {
  readonly userId = anId();
  readonly all: Account[];
  readonly url: string;
  /** What is asked before each answer; a test lets it fail or wait. */
  before: (what: "token" | "accounts" | "changes") => Promise<void> = async () => undefined;
  /** Seconds that tokens live. */
  lifetime = 60;
  /** What was asked, in order. */
  readonly asked: string[] = [];

  constructor(url: string, accounts = 1) {
    this.url = url;
    this.all = Array.from({ length: accounts }, () => new Account());
  }

  get first(): Account {
    return this.all[0]!;
  }

  count(what: string): number {
    return this.asked.filter((asked) => asked === what).length;
  }

  realtimeToken = async () => {
    this.asked.push("token");
    await this.before("token");
    return tokenFor(
      this.url,
      sign(
        this.userId,
        this.all.map(({ id }) => id),
        this.lifetime,
      ),
    );
  };

  accounts = async () => {
    this.asked.push("accounts");
    await this.before("accounts");
    return this.all.map(({ id, epoch, revision }) => ({ id, epoch, revision }));
  };

  changes = async (accountId: string, since: Position) => {
    this.asked.push("changes");
    await this.before("changes");
    const account = this.all.find(({ id }) => id === accountId);
    if (!account) throw Object.assign(new Error("There is no such account."), { status: 404 });
    return account.since(since);
  };

  /** What a worker would publish of the account now. */
  event(more: Partial<SyncEvent> = {}): SyncEvent {
    const { id: accountId, epoch, revision } = this.first;
    return syncEvent({ userId: this.userId, accountId, epoch, revision, ...more });
  }
}

/** What an app shows that does as it is told. */
export class Shown {
  readonly messages = new Set<string>();
  readonly batches: AccountChanges[][] = [];
  readonly #api: Api;
  /** What happens before a batch is taken. */
  before: () => Promise<void> = async () => undefined;

  constructor(api: Api) {
    this.#api = api;
  }

  take = async (batch: AccountChanges[]): Promise<void> => {
    this.batches.push(batch);
    await this.before();
    for (const changes of batch) this.#apply(changes);
  };

  /** Lets what is handed over wait until the function that it returns is called. */
  waitToBeLoaded(): () => void {
    const loading = new EventTarget();
    this.before = () =>
      new Promise((resolve) => loading.addEventListener("loaded", () => resolve()));
    return () => void loading.dispatchEvent(new Event("loaded"));
  }

  get resets(): number {
    return this.batches.flat().filter(({ reset }) => reset).length;
  }

  #apply({ accountId, added, reset }: AccountChanges): void {
    const account = this.#api.all.find(({ id }) => id === accountId);
    const ids = reset ? (account?.messages ?? []) : added.map(({ id }) => id);
    for (const id of ids) this.messages.add(`${accountId}/${id}`);
  }
}

/** What would be shown if nothing was missed. */
export function allOf(api: Api): Set<string> {
  return new Set(api.all.flatMap(({ id, messages }) => messages.map((each) => `${id}/${each}`)));
}
