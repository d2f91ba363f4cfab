/**
 * The page's one connection to the gateway.
 *
 * The push is a hint: whatever was missed while the link was down is fetched again. So the link
 * is `live` only once every room is joined, every `onCatchUp` handler has succeeded, and nobody
 * knows of something that is missing (`hold`).
 */

import { io, type Socket } from "socket.io-client";
import { coalesce } from "./coalesce.js";
import type { Position, PostwireApi, RealtimeToken, Room, RoomAck } from "./model.js";
import { backoff, pause } from "./pause.js";
import { watchForSleep } from "./sleep.js";
import { lifetimeOf, subjectOf } from "./token.js";

export type LinkStatus = "live" | "catching-up" | "stale";
export type Listener = (payload: never) => void;

const ACK_TIMEOUT_MS = 5000;
/** How long `join` waits for a connection before it says so; the room is joined later anyway. */
const JOIN_TIMEOUT_MS = 15_000;
/** Least milliseconds between two questions how far the accounts have come. */
const POSITIONS_GAP_MS = 300;

interface Membership {
  room: Room;
  holders: number;
  /** The gateway's answer on the present connection. */
  ack: RoomAck | null;
  /** The position that came with it, until somebody has taken it. */
  position: Position | null;
  waiting: ((ack: RoomAck) => void)[];
}

export class Link {
  readonly api: PostwireApi;
  #status: LinkStatus = "catching-up";
  #told = "";
  #connected = false;
  /** Whether there should be a connection and is none. */
  #down = false;
  #closed = false;
  #socket: Socket | null = null;
  /** A token that the next connection is made with, instead of asking for another one. */
  #atHand: RealtimeToken | null = null;
  /** Counts connections, resyncs and losses: work begun under an older number is dropped. */
  #turn = 0;
  #failures = 0;
  /** Whether a connection ends only to be made again. */
  #renewing = false;
  #refreshing: Promise<boolean> | null = null;
  #refreshTimer: ReturnType<typeof setTimeout> | undefined;
  #stopWatching: () => void = () => undefined;
  #positions = new Map<string, Position>();
  readonly #memberships = new Map<string, Membership>();
  /** Rooms a fresh token has already been asked for, so that a refusal renews it only once. */
  readonly #renewedFor = new Set<string>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #catchUps = new Set<() => Promise<void>>();
  readonly #holders = new Set<object>();
  readonly #observers = new Set<() => void>();

  constructor(api: PostwireApi) {
    this.api = api;
  }

  get status(): LinkStatus {
    return this.#status;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  /** Asks for a token to learn the gateway's address, then connects; never rejects. */
  async open(): Promise<void> {
    this.#stopWatching = watchForSleep(() => this.#wake());
    const token = await this.#mint(() => this.#closed);
    if (!token || this.#closed) return;
    this.#atHand = token;
    this.#connect(token.url);
  }

  close(): void {
    this.#closed = true;
    this.#turn++;
    this.#stopWatching();
    clearTimeout(this.#refreshTimer);
    this.#socket?.disconnect();
  }

  /** Joins a room and keeps it through reconnects, until as many `leave` as `join` were called. */
  join = (room: Room): Promise<RoomAck> => {
    const key = keyOf(room);
    const membership = this.#memberships.get(key) ?? newMembership(room);
    membership.holders++;
    this.#memberships.set(key, membership);
    if (membership.ack) return Promise.resolve(membership.ack);
    const ack = new Promise<RoomAck>((resolve) => membership.waiting.push(resolve));
    // What happened in the room before it was joined is missing, so this is a catch-up as well.
    if (this.#connected) void this.#catchUp();
    return Promise.race([ack, notInTime()]);
  };

  leave = async (room: Room): Promise<RoomAck> => {
    const key = keyOf(room);
    const membership = this.#memberships.get(key);
    if (!membership || --membership.holders > 0) return { ok: true, left: [] };
    this.#memberships.delete(key);
    settle(membership, { ok: false, error: "The room was left before it was joined." });
    return (await this.#emit<RoomAck>("leave", room)) ?? { ok: true, left: [] };
  };

  on = (event: string, listener: Listener): void => {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
  };

  off = (event: string, listener: Listener): void => {
    this.#listeners.get(event)?.delete(listener);
  };

  /** Registers a refetch to run after every connect and `resync`; returns its removal. */
  onCatchUp = (refetch: () => Promise<void>): (() => void) => {
    this.#catchUps.add(refetch);
    return () => this.#catchUps.delete(refetch);
  };

  /** Registers an observer of `status` and `isConnected`; returns its removal. */
  observe = (observer: () => void): (() => void) => {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  };

  /** While `holder` holds it, the link is not `live`: something is known to be missing. */
  hold(holder: object): void {
    this.#holders.add(holder);
    this.#tell();
  }

  release(holder: object): void {
    this.#holders.delete(holder);
    this.#tell();
  }

  /** How far each account has come, by the API; who asks at the same time shares the answer. */
  async positions(): Promise<ReadonlyMap<string, Position>> {
    await this.#askPositions();
    return this.#positions;
  }

  #askPositions = coalesce(async () => {
    const accounts = await this.api.accounts();
    this.#positions = new Map(accounts.map((account) => [account.id, account]));
  }, POSITIONS_GAP_MS);

  #connect(url: string): void {
    const socket = io(url || location.origin, {
      path: "/socket.io/",
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 10_000,
      auth: (send) => void this.#authenticate(send),
    });
    this.#socket = socket;
    socket.on("connect", () => this.#connectedNow());
    socket.on("disconnect", () => this.#lost());
    socket.on("connect_error", () => {
      this.#renewing = false;
      this.#lost();
    });
    socket.on("resync", () => void this.#catchUp());
    // The gateway disconnects next; that is no loss.
    socket.on("token:expired", () => (this.#renewing = true));
    socket.onAny((event: string, payload: unknown) => this.#dispatch(event, payload as never));
  }

  /** A realtime token is short-lived, so every connection is made with a new one. */
  async #authenticate(send: (auth: object) => void): Promise<void> {
    const abandoned = this.#hasMovedOn();
    const token = this.#atHand ?? (await this.#mint(abandoned));
    this.#atHand = null;
    if (!token || abandoned()) return;
    this.#keepOwnRoom(token.token);
    send({ token: token.token });
    this.#refreshBeforeEnd(token.token);
  }

  /** Whether the connection is another one by then. */
  #hasMovedOn(): () => boolean {
    const engine = this.#socket?.io.engine;
    return () => this.#closed || this.#socket?.io.engine !== engine;
  }

  /** A token, however long it takes; null once it is abandoned. */
  async #mint(abandoned: () => boolean): Promise<RealtimeToken | null> {
    for (let attempt = 0; !abandoned(); attempt++) {
      try {
        return await this.api.realtimeToken();
      } catch {
        if (!this.#connected) this.#setDown(true);
        await pause(backoff(attempt));
      }
    }
    return null;
  }

  /** By the lifetime that the token's maker gave it: the browser's clock may be wrong. */
  #refreshBeforeEnd(token: string): void {
    clearTimeout(this.#refreshTimer);
    const lifetime = lifetimeOf(token);
    if (!lifetime || lifetime < 0) return;
    const wait = lifetime * (0.6 + Math.random() * 0.2);
    this.#refreshTimer = setTimeout(() => void this.#refresh(), wait);
  }

  /** Gives the open connection a new token; false where that needs a new connection, now begun. */
  #refresh(): Promise<boolean> {
    this.#refreshing ??= this.#sendToken().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #sendToken(): Promise<boolean> {
    const abandoned = this.#hasMovedOn();
    const fresh = await this.#mint(() => abandoned() || !this.#connected);
    if (!fresh || abandoned()) return false;
    const ack = await this.#emit<{ ok: boolean }>("token", { token: fresh.token });
    if (abandoned()) return false;
    if (ack?.ok) this.#refreshBeforeEnd(fresh.token);
    else this.#renew(fresh);
    return ack?.ok ?? false;
  }

  #keepOwnRoom(token: string): void {
    const userId = subjectOf(token);
    if (!userId) return;
    const own = newMembership({ userId });
    own.holders = 1;
    const key = keyOf(own.room);
    if (!this.#memberships.has(key)) this.#memberships.set(key, own);
  }

  #connectedNow(): void {
    this.#renewing = false;
    this.#connected = true;
    this.#down = false;
    void this.#catchUp();
  }

  #lost(): void {
    if (this.#closed) return;
    this.#turn++;
    clearTimeout(this.#refreshTimer);
    this.#forgetAcks();
    this.#connected = false;
    this.#setDown(!this.#renewing);
    // Socket.IO leaves it to us where the server refused or ended the connection.
    if (this.#socket && !this.#socket.active) void this.#reconnectLater();
  }

  async #reconnectLater(): Promise<void> {
    const turn = this.#turn;
    await pause(this.#renewing ? 0 : backoff(this.#failures++));
    if (turn === this.#turn) this.#socket?.connect();
  }

  /** Reconnects at once with a new token. */
  #renew(token: RealtimeToken | null = null): void {
    if (this.#renewing || !this.#socket || this.#closed) return;
    this.#atHand = token;
    this.#renewing = true;
    this.#socket.disconnect();
    this.#turn++;
    this.#socket.connect();
  }

  /** After a sleep, or once the machine is online: the connection may be dead and not know it. */
  #wake(): void {
    if (!this.#connected) return this.#renew();
    this.#forgetAcks();
    void this.#catchUp();
  }

  async #catchUp(): Promise<void> {
    const turn = ++this.#turn;
    this.hold(this);
    // Many rooms are joined in one go where a page mounts; the last of them starts the work.
    await Promise.resolve();
    for (let attempt = 0; turn === this.#turn; attempt++) {
      if ((await this.#joinAll(turn)) && (await this.#refetchAll())) {
        if (turn === this.#turn) this.#caughtUp();
        return;
      }
      await pause(backoff(attempt));
    }
  }

  #caughtUp(): void {
    this.#failures = 0;
    this.release(this);
  }

  /** False where the gateway did not answer; then it is connected to anew. */
  async #joinAll(turn: number): Promise<boolean> {
    const joins = [...this.#memberships].map(([key, held]) => this.#joinOne(key, held));
    const answered = (await Promise.all(joins)).every(Boolean);
    if (!answered && turn === this.#turn) this.#renew();
    return answered;
  }

  async #refetchAll(): Promise<boolean> {
    const runs = await Promise.allSettled([...this.#catchUps].map((refetch) => refetch()));
    return runs.every((run) => run.status === "fulfilled");
  }

  /** False only where the gateway did not answer; a room it refuses for good is not waited for. */
  async #joinOne(key: string, membership: Membership): Promise<boolean> {
    if (membership.ack) return true;
    let ack = await this.#emit<RoomAck>("join", membership.room);
    if (ack && !ack.ok && !this.#renewedFor.has(key)) {
      // A new token's accounts may be more than the old one's.
      this.#renewedFor.add(key);
      ack = (await this.#refresh()) ? await this.#emit<RoomAck>("join", membership.room) : null;
    }
    if (!ack) return false;
    membership.ack = ack;
    membership.position = ack.position ?? null;
    settle(membership, ack);
    return true;
  }

  /** The gateway's answer, or null where none came in time. */
  async #emit<T>(event: string, payload: object): Promise<T | null> {
    if (!this.#connected || !this.#socket) return null;
    try {
      return (await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload)) as T;
    } catch {
      return null;
    }
  }

  /** The position that came with the answer to `join`, once: later it says nothing any more. */
  takePosition(accountId: string): Position | null {
    const membership = this.#memberships.get(keyOf({ accountId }));
    const position = membership?.position ?? null;
    if (membership) membership.position = null;
    return position;
  }

  #forgetAcks(): void {
    for (const membership of this.#memberships.values()) {
      membership.ack = null;
      membership.position = null;
    }
  }

  #dispatch(event: string, payload: never): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(payload);
  }

  #setDown(down: boolean): void {
    this.#down = down;
    this.#tell();
  }

  #tell(): void {
    const missing = this.#holders.size > 0 || !this.#connected;
    const status = this.#down ? "stale" : missing ? "catching-up" : "live";
    const told = `${status} ${this.#connected}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#status = status;
    for (const observer of this.#observers) observer();
  }
}

function newMembership(room: Room): Membership {
  return { room, holders: 0, ack: null, position: null, waiting: [] };
}

function keyOf(room: Room): string {
  return `${room.userId ?? ""}/${room.accountId ?? ""}`;
}

function settle(membership: Membership, ack: RoomAck): void {
  for (const resolve of membership.waiting.splice(0)) resolve(ack);
}

async function notInTime(): Promise<RoomAck> {
  await pause(JOIN_TIMEOUT_MS);
  return { ok: false, error: "Not connected yet; the room is joined once the link is back." };
}
