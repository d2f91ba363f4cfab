/** A Socket.IO server that does what the real gateway will not, or does only when things go wrong. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import type { Position, Room } from "../src/model";

export class Scripted {
  url = "";
  connections = 0;
  /** How `token` is answered; null leaves it unanswered, as an older gateway does. */
  token: { ok: boolean } | null = { ok: true };
  /** The tokens that came by `token`. */
  readonly tokens: string[] = [];
  /** What is answered to `join` beside `ok`; null leaves it unanswered. */
  position: { position?: Position | null } | null = {};
  readonly #io: Server;

  static async start(): Promise<Scripted> {
    const http = createServer();
    const scripted = new Scripted(new Server(http, { path: "/socket.io/" }));
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    scripted.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    return scripted;
  }

  private constructor(io: Server) {
    this.#io = io;
    io.on("connection", (socket) => {
      this.connections++;
      socket.on("join", ({ accountId }: Room, answer) => {
        if (!accountId) answer({ ok: true, joined: [] });
        else if (this.position) answer({ ok: true, joined: [accountId], ...this.position });
      });
      socket.on("token", ({ token }: { token: string }, answer) => {
        this.tokens.push(token);
        if (this.token) answer(this.token);
      });
    });
  }

  cut(): void {
    for (const socket of this.#io.sockets.sockets.values()) socket.conn.transport.close();
  }

  async close(): Promise<void> {
    await this.#io.close();
  }
}
