import { setTimeout as aMoment } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { Link } from "../src/link";
import type { SyncEvent } from "../src/model";
import { pause } from "../src/pause";
import { anId, LEEWAY_S, startGateway, tokenFor, type Gateway } from "./gateway";
import { Api } from "./given";

let gateway: Gateway;
let api: Api;
let link: Link;

beforeAll(async () => {
  gateway = await startGateway();
}, 90_000);

afterAll(() => gateway.close());

beforeEach(() => {
  api = new Api(gateway.url);
  link = new Link(api);
});

afterEach(() => {
  vi.useRealTimers();
  link.close();
  gateway.road.open = true;
});

const isLive = () => vi.waitFor(() => expect(link.status).toBe("live"), { timeout: 20_000 });
const isDown = () => vi.waitFor(() => expect(link.isConnected).toBe(false), { timeout: 20_000 });
const join = () => link.join({ accountId: api.first.id });

/** Whether events to the account's room arrive; after them comes one to the user's, which does. */
async function hearsAccount(): Promise<boolean> {
  const mark = anId();
  let heard = false;
  const account = ({ error }: SyncEvent) => void (heard ||= error === mark);
  link.on("sync:failed", account);
  const user = new Promise<void>((resolve) => {
    link.on("email:new", ({ error }: SyncEvent) => error === mark && resolve());
  });
  await gateway.publish(api.event({ type: "failed", error: mark }));
  await gateway.publish(api.event({ error: mark }));
  await user;
  link.off("sync:failed", account);
  return heard;
}

describe("a fresh link", () => {
  test("joins the user's room by itself and the rooms asked for before it was open", async () => {
    const ack = join();
    await link.open();
    await isLive();
    expect(await ack).toMatchObject({ ok: true, joined: [`account:${api.first.id}`] });
    expect(await hearsAccount()).toBe(true);
  });

  test("uses the token it learned the gateway's address with", async () => {
    await link.open();
    await isLive();
    expect(api.count("token")).toBe(1);
  });

  test("keeps asking for a token while the API is away", async () => {
    let calls = 0;
    api.before = async () => {
      if (++calls === 1) throw new Error("No answer");
    };
    void link.open();
    await vi.waitFor(() => expect(link.status).toBe("stale"));
    await isLive();
  });

  test("that is closed while it waits for its token never connects", async () => {
    const opening = link.open();
    link.close();
    await opening;
    await pause(200);
    expect(link.isConnected).toBe(false);
  });

  test("is live only after what may have been missed is fetched", async () => {
    const answers: (() => void)[] = [];
    link.onCatchUp(() => new Promise((resolve) => void answers.push(resolve)));
    await link.open();
    await vi.waitFor(() => expect(answers).toHaveLength(1));
    expect(link.isConnected).toBe(true);
    expect(link.status).toBe("catching-up");
    answers[0]?.();
    await isLive();
  });

  test("tries again where fetching what was missed failed", async () => {
    let runs = 0;
    link.onCatchUp(async () => {
      if (++runs === 1) throw new Error("The server cannot be reached.");
    });
    await link.open();
    await isLive();
    expect(runs).toBe(2);
  });

  test("is not live while somebody knows of something that is missing", async () => {
    link.hold(api);
    await link.open();
    await vi.waitFor(() => expect(link.isConnected).toBe(true));
    await join();
    expect(link.status).toBe("catching-up");
    link.release(api);
    await isLive();
  });
});

describe("after the connection was lost", () => {
  test("it comes back with a new token, its rooms, and a refetch", async () => {
    let refetches = 0;
    link.onCatchUp(async () => void refetches++);
    void join();
    await link.open();
    await isLive();
    gateway.road.cut();
    await isDown();
    expect(link.status).toBe("stale");
    await isLive();
    expect(api.count("token")).toBe(2);
    expect(await hearsAccount()).toBe(true);
    expect(refetches).toBe(2);
  });

  test("it comes back though its token is refused for a while", async () => {
    await link.open();
    await isLive();
    const realtimeToken = api.realtimeToken;
    api.realtimeToken = async () => {
      await realtimeToken();
      return tokenFor(gateway.url, "no.good.token");
    };
    gateway.road.cut();
    await vi.waitFor(() => expect(api.count("token")).toBe(3), { timeout: 20_000 });
    expect(link.status).toBe("stale");
    api.realtimeToken = realtimeToken;
    await isLive();
  });

  test("a room that was left meanwhile is not joined again", async () => {
    void join();
    await link.open();
    await isLive();
    gateway.road.cut();
    await isDown();
    await link.leave({ accountId: api.first.id });
    await isLive();
    expect(await hearsAccount()).toBe(false);
  });

  test("and back online, it does not wait", async () => {
    await link.open();
    await isLive();
    gateway.road.open = false;
    gateway.road.cut();
    await isDown();
    gateway.road.open = true;
    // No wait ends any more.
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    dispatchEvent(new Event("online"));
    while (!link.isConnected) await aMoment(10);
    vi.useRealTimers();
    expect(link.isConnected).toBe(true);
  });
});

describe("the end of its token", () => {
  test("in the middle of a session brings a new one, and keeps the rooms", async () => {
    void join();
    // The gateway has leeway; this one ends four seconds from now.
    api.lifetime = 4 - LEEWAY_S;
    await link.open();
    await isLive();
    api.lifetime = 60;
    const seen = new Set<string>();
    link.observe(() => seen.add(link.status));
    await vi.waitFor(() => expect(api.count("token")).toBe(2), { timeout: 20_000 });
    await isLive();
    expect(await hearsAccount()).toBe(true);
    expect(seen).toEqual(new Set(["catching-up", "live"]));
  });

  test("is not waited for: a new one takes its place on the same connection", async () => {
    void join();
    api.lifetime = 2;
    await link.open();
    await isLive();
    api.lifetime = 60;
    const seen = new Set<string>();
    link.observe(() => seen.add(link.status));
    await vi.waitFor(() => expect(api.count("token")).toBe(2), { timeout: 20_000 });
    expect(await hearsAccount()).toBe(true);
    expect([...seen]).toEqual([]);
  });

  test("that the API gives no other one for is not waited for in silence", async () => {
    api.lifetime = 4 - LEEWAY_S;
    await link.open();
    await isLive();
    api.before = async () => {
      throw new Error("The server cannot be reached.");
    };
    await vi.waitFor(() => expect(link.status).toBe("stale"), { timeout: 20_000 });
    api.before = async () => undefined;
    await isLive();
  });
});

describe("a room", () => {
  test("of an account added since is joined with a fresh token", async () => {
    await link.open();
    await isLive();
    const { all } = new Api(gateway.url);
    api.all.unshift(...all);
    expect(await join()).toMatchObject({ ok: true });
    await isLive();
    expect(await hearsAccount()).toBe(true);
    expect(api.count("token")).toBe(2);
  });

  test("of somebody else is refused in words, and does not renew the token for ever", async () => {
    await link.open();
    await isLive();
    const ack = await link.join({ accountId: "foreign" });
    expect(ack).toMatchObject({ ok: false, error: expect.stringContaining("does not open") });
    await isLive();
    await link.join({ accountId: "foreign" });
    expect(api.count("token")).toBe(2);
  });

  test("joined twice is kept until it is left twice", async () => {
    await link.open();
    await join();
    await join();
    await link.leave({ accountId: api.first.id });
    expect(await hearsAccount()).toBe(true);
    await link.leave({ accountId: api.first.id });
    expect(await hearsAccount()).toBe(false);
  });
});

test("a resync refetches without a reconnect", async () => {
  let refetches = 0;
  link.onCatchUp(async () => void refetches++);
  await link.open();
  await isLive();
  await gateway.loseRedis();
  await vi.waitFor(() => expect(refetches).toBe(2), { timeout: 20_000 });
  await isLive();
  expect(api.count("token")).toBe(1);
});

test("a listener hears its event until it is taken off", async () => {
  const heard: number[] = [];
  const listener = (event: { count: number }) => void heard.push(event.count);
  link.on("email:new", listener);
  await link.open();
  await isLive();
  await gateway.publish(api.event({ count: 3 }));
  await vi.waitFor(() => expect(heard).toEqual([3]));
  link.off("email:new", listener);
  await hearsAccount();
  expect(heard).toEqual([3]);
});
