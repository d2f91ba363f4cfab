/** What the link and the follower do where the gateway does otherwise than ours does. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Follower } from "../src/follower";
import { Link } from "../src/link";
import { Api, Shown } from "./given";
import { Scripted } from "./scripted";

let gateway: Scripted;
let api: Api;
let link: Link;

beforeEach(async () => {
  gateway = await Scripted.start();
  api = new Api(gateway.url);
  link = new Link(api);
});

afterEach(async () => {
  link.close();
  await gateway.close();
});

const isLive = () => vi.waitFor(() => expect(link.status).toBe("live"), { timeout: 20_000 });

async function reconnect(): Promise<void> {
  gateway.cut();
  await vi.waitFor(() => expect(link.isConnected).toBe(false));
  await isLive();
}

describe("a new token", () => {
  beforeEach(async () => {
    api.lifetime = 1;
    await link.open();
    await isLive();
    api.lifetime = 60;
  });

  test("that is refused brings a new connection", async () => {
    gateway.token = { ok: false };
    await vi.waitFor(() => expect(gateway.connections).toBe(2));
    await isLive();
    expect(api.count("token")).toBe(2);
  });

  test("that an older gateway does not know brings a new connection", async () => {
    gateway.token = null;
    await vi.waitFor(() => expect(gateway.connections).toBe(2), { timeout: 10_000 });
    await isLive();
  });

  test("that the API does not give is asked for again", async () => {
    let failures = 1;
    api.before = async () => {
      if (failures-- > 0) throw new Error("The server cannot be reached.");
    };
    await vi.waitFor(() => expect(gateway.tokens).toHaveLength(1), { timeout: 5000 });
    expect(link.isConnected).toBe(true);
    expect(gateway.connections).toBe(1);
  });
});

test("a gateway that does not answer is connected to anew", async () => {
  gateway.position = null;
  void link.join({ accountId: api.first.id });
  await link.open();
  await vi.waitFor(() => expect(gateway.connections).toBe(2), { timeout: 20_000 });
  gateway.position = {};
  await isLive();
});

describe("the position in the answer to join", () => {
  let shown: Shown;
  let follower: Follower;

  beforeEach(async () => {
    shown = new Shown(api);
    follower = new Follower(link, shown.take);
    gateway.position = { position: { epoch: 1, revision: 1 } };
    await link.open();
    await isLive();
    follower.follow([api.first.id]);
    await isLive();
  });

  afterEach(() => follower.stop());

  test("that says less than we know costs nothing", async () => {
    gateway.position = { position: { epoch: 1, revision: 0 } };
    await reconnect();
    expect(api.count("changes")).toBe(0);
  });
});

test("what the gateway does not know of is found by the API before long", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"], shouldAdvanceTime: true });
  const shown = new Shown(api);
  const follower = new Follower(link, shown.take);
  gateway.position = { position: { epoch: 1, revision: 1 } };
  await link.open();
  await isLive();
  follower.follow([api.first.id]);
  await isLive();
  api.first.deliver();
  await vi.advanceTimersByTimeAsync(450_000);
  vi.useRealTimers();
  await vi.waitFor(() => expect([...shown.messages]).toHaveLength(1));
  follower.stop();
});
