/**
 * The page's one connection to the gateway.
 *
 * The push is a hint: whatever was missed while the link was down is fetched again. So the link
 * is `live` only once every room is joined and every `onCatchUp` handler has succeeded.
 */

import { io, type Socket } from "socket.io-client";
import type { RealtimeApi, RealtimeToken, Room, RoomAck } from "./model.js";
import { backoff, pause } from "./pause.js";
import { subjectOf } from "./token.js";

export type LinkStatus = "live" | "catching-up" | "stale";
export type Listener = (payload: never) => void;

const ACK_TIMEOUT_MS = 5000;
/** How long `join` waits for a connection before it says so; the room is joined later anyway. */
const JOIN_TIMEOUT_MS = 15_000;

interface Membership {
  room: Room;
  holders: number;
  /** The gateway's answer on the present connection. */
  ack: RoomAck | null;
  waiting: ((ack: RoomAck) => void)[];
}

export class Link {
  #status: LinkStatus = "catching-up";
  #connected = false;
  #closed = false;
  #socket: Socket | null = null;
  #firstToken: RealtimeToken | null = null;
  /** Counts connections, resyncs and losses: work begun under an older number is dropped. */
  #turn = 0;
  #failures = 0;
  #renewing = false;
  readonly #memberships = new Map<string, Membership>();
  /** Rooms a fresh token has already been asked for, so that a refusal renews it only once. */
  readonly #renewedFor = new Set<string>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #catchUps = new Set<() => Promise<void>>();
  readonly #observers = new Set<() => void>();
  readonly #api: RealtimeApi;

  constructor(api: RealtimeApi) {
    this.#api = api;
  }

  get status(): LinkStatus {
    return this.#status;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  /** Asks for a token to learn the gateway's address, then connects; never rejects. */
  async open(): Promise<void> {
    const token = await this.#mint(() => this.#closed);
    if (!token || this.#closed) return;
    this.#firstToken = token;
    this.#connect(token.url);
  }

  close(): void {
    this.#closed = true;
    this.#turn++;
    this.#socket?.disconnect();
  }

  /** Joins a room and keeps it through reconnects, until as many `leave` as `join` were called. */
  join = (room: Room): Promise<RoomAck> => {
    const key = keyOf(room);
    const membership = this.#memberships.get(key) ?? { room, holders: 0, ack: null, waiting: [] };
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
    return (await this.#emit("leave", room)) ?? { ok: true, left: [] };
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
    socket.onAny((event: string, payload: unknown) => this.#dispatch(event, payload as never));
  }

  /** A realtime token is short-lived, so every connection is made with a new one. */
  async #authenticate(send: (auth: object) => void): Promise<void> {
    const engine = this.#socket?.io.engine;
    const abandoned = () => this.#closed || this.#socket?.io.engine !== engine;
    const token = this.#firstToken ?? (await this.#mint(abandoned));
    this.#firstToken = null;
    if (!token || abandoned()) return;
    this.#keepOwnRoom(token.token);
    send({ token: token.token });
  }

  /** A token, however long it takes; null once it is abandoned. */
  async #mint(abandoned: () => boolean): Promise<RealtimeToken | null> {
    for (let attempt = 0; !abandoned(); attempt++) {
      try {
        return await this.#api.realtimeToken();
      } catch {
        this.#set(false, "stale");
        await pause(backoff(attempt));
      }
    }
    return null;
  }

  #keepOwnRoom(token: string): void {
    const userId = subjectOf(token);
    if (!userId) return;
    const room = { userId };
    const key = keyOf(room);
    if (!this.#memberships.has(key)) {
      this.#memberships.set(key, { room, holders: 1, ack: null, waiting: [] });
    }
  }

  #connectedNow(): void {
    this.#renewing = false;
    this.#set(true, "catching-up");
    void this.#catchUp();
  }

  #lost(): void {
    if (this.#closed) return;
    this.#turn++;
    for (const membership of this.#memberships.values()) membership.ack = null;
    this.#set(false, this.#renewing ? "catching-up" : "stale");
    // Socket.IO leaves it to us where the server refused or ended the connection.
    if (this.#socket && !this.#socket.active && !this.#renewing) void this.#reconnectLater();
  }

  async #reconnectLater(): Promise<void> {
    const turn = this.#turn;
    await pause(backoff(this.#failures++));
    if (turn === this.#turn) this.#socket?.connect();
  }

  /** Reconnects at once with a fresh token, whose accounts may be more than the old one's. */
  #renew(): void {
    if (this.#renewing || !this.#socket) return;
    this.#renewing = true;
    this.#socket.disconnect().connect();
  }

  async #catchUp(): Promise<void> {
    const turn = ++this.#turn;
    this.#set(this.#connected, "catching-up");
    // Many rooms are joined in one go where a page mounts; the last of them starts the work.
    await Promise.resolve();
    for (let attempt = 0; turn === this.#turn; attempt++) {
      if ((await this.#joinAll()) && (await this.#refetchAll())) {
        if (turn === this.#turn) this.#caughtUp();
        return;
      }
      await pause(backoff(attempt));
    }
  }

  #caughtUp(): void {
    this.#failures = 0;
    this.#set(true, "live");
  }

  async #joinAll(): Promise<boolean> {
    const joins = [...this.#memberships].map(([key, held]) => this.#joinOne(key, held));
    return (await Promise.all(joins)).every(Boolean);
  }

  async #refetchAll(): Promise<boolean> {
    const runs = await Promise.allSettled([...this.#catchUps].map((refetch) => refetch()));
    return runs.every((run) => run.status === "fulfilled");
  }

  /** False only where the gateway did not answer; a room it refuses for good is not waited for. */
  async #joinOne(key: string, membership: Membership): Promise<boolean> {
    if (membership.ack) return true;
    const ack = await this.#emit("join", membership.room);
    if (!ack) return false;
    if (!ack.ok && !this.#renewedFor.has(key)) {
      this.#renewedFor.add(key);
      this.#renew();
      return false;
    }
    membership.ack = ack;
    settle(membership, ack);
    return true;
  }

  /** The gateway's answer, or null where none came in time. */
  async #emit(event: "join" | "leave", room: Room): Promise<RoomAck | null> {
    if (!this.#connected || !this.#socket) return null;
    try {
      return (await this.#socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, room)) as RoomAck;
    } catch {
      return null;
    }
  }

  #dispatch(event: string, payload: never): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(payload);
  }

  #set(connected: boolean, status: LinkStatus): void {
    if (connected === this.#connected && status === this.#status) return;
    this.#connected = connected;
    this.#status = status;
    for (const observer of this.#observers) observer();
  }
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
