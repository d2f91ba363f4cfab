/** A real Socket.IO server on a free loopback port, with the gateway's rules for rooms. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import type { RealtimeToken, Room } from "../src/model";

interface Claims {
  sub: string;
  accounts: string[];
  serial: number;
}

export interface Gateway {
  io: Server;
  /** Accounts a token gives access to from now on. */
  accounts: string[];
  /** How many tokens were asked for. */
  tokensMinted: () => number;
  /** Serial numbers of the tokens that connections were made with, in order. */
  tokensUsed: number[];
  /** While set, connections are refused with these words. */
  refusal: string | null;
  /** The rooms asked for with `join`, in order. */
  joins: string[];
  api: { realtimeToken: () => Promise<RealtimeToken> };
  /** Ends every connection from the server's side. */
  kick: () => void;
  /** Breaks every connection as a failing network does. */
  cut: () => void;
  roomsHeld: () => string[];
  close: () => Promise<void>;
}

export async function startGateway(): Promise<Gateway> {
  const http = createServer();
  const io = new Server(http, { path: "/socket.io/", pingInterval: 2000 });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  let minted = 0;

  const gateway: Gateway = {
    io,
    accounts: ["a1"],
    tokensMinted: () => minted,
    tokensUsed: [],
    refusal: null,
    joins: [],
    api: {
      realtimeToken: async () => {
        const claims = { sub: "u1", accounts: [...gateway.accounts], serial: ++minted };
        return { token: unsigned(claims), expiresAt: "", url };
      },
    },
    kick: () => io.disconnectSockets(true),
    cut: () => io.sockets.sockets.forEach((socket) => socket.conn.transport.close()),
    roomsHeld: () => [...io.sockets.adapter.rooms.keys()].filter((room) => room.includes(":")),
    close: () => io.close(),
  };

  io.use((socket, next) => {
    if (gateway.refusal) return next(new Error(gateway.refusal));
    const claims = claimsIn(socket.handshake.auth["token"] as string);
    gateway.tokensUsed.push(claims.serial);
    socket.data.claims = claims;
    next();
  });
  io.on("connection", (socket) => serve(socket, gateway.joins));
  return gateway;
}

function serve(socket: Socket, joins: string[]): void {
  const claims = socket.data.claims as Claims;
  socket.on("join", ({ userId, accountId }: Room, ack) => {
    const room = userId ? `user:${userId}` : `account:${accountId}`;
    joins.push(room);
    const allowed = userId ? userId === claims.sub : claims.accounts.includes(accountId ?? "");
    if (!allowed) return ack({ ok: false, error: "This room is not in the token." });
    void socket.join(room);
    ack({ ok: true, joined: [room] });
  });
  socket.on("leave", ({ accountId }: Room, ack) => {
    void socket.leave(`account:${accountId}`);
    ack({ ok: true, left: [`account:${accountId}`] });
  });
}

function unsigned(claims: Claims): string {
  return `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;
}

function claimsIn(token: string): Claims {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Claims;
}
