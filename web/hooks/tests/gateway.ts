/** The real gateway on a real Valkey, with a road to it that can be cut. */

import { spawn, type ChildProcess } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { pause } from "../src/pause";
import type { RealtimeToken, SyncEvent } from "../src/model";

const ROOT = join(import.meta.dirname, "../../..");
const PYTHON = `${ROOT}/.venv/bin/python`;
const SECRET = "a realtime secret of more than 32 bytes";
const START_MS = 60_000;
/** The gateway takes a token this long after its end, as clocks may differ. */
export const LEEWAY_S = 30;

export interface Gateway {
  /** Where the browser finds it: by the road. */
  url: string;
  road: Road;
  /** Publishes as a worker does, after its commit. */
  publish: (event: SyncEvent) => Promise<void>;
  /** Takes away what Redis knows of positions. */
  wipeRedis: () => Promise<void>;
  /** Lets the gateway lose Redis for a moment; it tells everyone to look again. */
  loseRedis: () => Promise<void>;
  kill: () => Promise<void>;
  /** Starts it again where it was. */
  start: () => Promise<void>;
  close: () => Promise<void>;
}

export async function startGateway(): Promise<Gateway> {
  const valkey = python(["-m", "support.lent_valkey"], { PYTHONPATH: `${ROOT}/tests` });
  const [redisUrl] = (await once(createInterface(valkey.stdout!), "line")) as [string];
  const port = await freePort();
  const road = await Road.to(port);
  const url = `http://127.0.0.1:${road.port}`;
  let gateway: ChildProcess;

  const start = async () => {
    gateway = python(["-m", "postwire_gateway"], {
      POSTWIRE_REDIS_URL: redisUrl,
      POSTWIRE_REALTIME_SECRET: SECRET,
      POSTWIRE_GATEWAY_HOST: "127.0.0.1",
      POSTWIRE_GATEWAY_PORT: String(port),
      POSTWIRE_OPS_HOST: "127.0.0.1",
      POSTWIRE_OPS_PORT: String(await freePort()),
      POSTWIRE_CORS_ORIGINS: location.origin,
    });
    await relays(gateway);
  };
  const kill = () => stop(gateway, "SIGKILL");
  await start();
  return {
    url,
    road,
    publish: async (event) => {
      const score = String(event.epoch * 2 ** 40 + event.revision);
      await redis(redisUrl, "ZADD", "postwire:positions", "GT", score, event.accountId);
      await redis(redisUrl, "PUBLISH", "email:sync", json(event));
    },
    wipeRedis: async () => void (await redis(redisUrl, "FLUSHALL")),
    loseRedis: async () => void (await redis(redisUrl, "CLIENT", "KILL", "TYPE", "pubsub")),
    kill,
    start,
    close: async () => {
      road.close();
      await kill();
      await stop(valkey, "SIGTERM");
    },
  };
}

/** A realtime token as the API makes them; by default for a minute. */
export function sign(userId: string, accounts: string[], seconds = 60): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: userId, aud: "postwire-realtime", iat: now, exp: now + seconds, accounts };
  const signed = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

export function tokenFor(url: string, token: string): RealtimeToken {
  return { token, expiresAt: "", url };
}

/** A name that no other test has. */
export const anId = (): string => randomUUID();

/** A TCP relay: what a browser's connections go through. */
export class Road {
  /** While it is false, who connects is hung up on. */
  open = true;
  port = 0;
  readonly #ends = new Set<Socket>();
  #stop: () => void = () => undefined;

  static async to(port: number): Promise<Road> {
    const road = new Road();
    const server = createServer((browser) => road.#relay(browser, port));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    road.port = (server.address() as AddressInfo).port;
    road.#stop = () => server.close();
    return road;
  }

  /** Breaks every connection as a failing network does. */
  cut(): void {
    for (const end of this.#ends) end.destroy();
  }

  close(): void {
    this.cut();
    this.#stop();
  }

  #relay(browser: Socket, port: number): void {
    if (!this.open) return void browser.destroy();
    const gateway = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [browser, gateway],
      [gateway, browser],
    ] as const) {
      this.#ends.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#ends.delete(from);
        to.destroy();
      });
    }
  }
}

function python(args: string[], env: Record<string, string>): ChildProcess {
  return spawn(PYTHON, args, {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Waits until its log says that it hears of events. */
async function relays(gateway: ChildProcess): Promise<void> {
  let log = "";
  const ready = new Promise<void>((resolve) => {
    const read = (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes("relay subscribed") && log.includes("listening")) resolve();
    };
    gateway.stdout!.on("data", read);
    gateway.stderr!.on("data", read);
  });
  const ended = once(gateway, "exit");
  const late = pause(START_MS);
  const first = await Promise.race([
    ready.then(() => true),
    ended.then(() => false),
    late.then(() => false),
  ]);
  if (!first) throw new Error(`The gateway does not start:\n${log}`);
}

async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** One command on a connection of its own. */
async function redis(url: string, ...command: string[]): Promise<string> {
  const { hostname, port, password } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.end(resp(["AUTH", decodeURIComponent(password)]) + resp(command));
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  if (answer.includes("-ERR")) throw new Error(answer);
  return answer;
}

function resp(words: string[]): string {
  const told = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${told.join("")}`;
}

function encoded(value: object): string {
  return Buffer.from(json(value)).toString("base64url");
}

function json(value: object): string {
  return JSON.stringify(value);
}
