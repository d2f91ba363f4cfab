import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Link } from "../src/link";
import { pause } from "../src/pause";
import { startGateway, type Gateway } from "./gateway";
import { syncEvent } from "./given";

let gateway: Gateway;
let link: Link;

beforeEach(async () => {
  gateway = await startGateway();
  link = new Link(gateway.api);
});

afterEach(async () => {
  link.close();
  await gateway.close();
});

const isLive = () => vi.waitFor(() => expect(link.status).toBe("live"), { timeout: 8000 });
const isDown = () => vi.waitFor(() => expect(link.isConnected).toBe(false), { timeout: 5000 });

describe("a fresh link", () => {
  test("joins the user's room by itself and the rooms asked for before it was open", async () => {
    const ack = link.join({ accountId: "a1" });
    await link.open();
    await isLive();
    expect(await ack).toEqual({ ok: true, joined: ["account:a1"] });
    expect(gateway.roomsHeld().toSorted()).toEqual(["account:a1", "user:u1"]);
  });

  test("uses the token it learned the gateway's address with", async () => {
    await link.open();
    await isLive();
    expect(gateway.tokensMinted()).toBe(1);
  });

  test("keeps asking for a token while the API is away", async () => {
    const mint = gateway.api.realtimeToken;
    let calls = 0;
    gateway.api.realtimeToken = () =>
      ++calls === 1 ? Promise.reject(new Error("No answer")) : mint();
    void link.open();
    await vi.waitFor(() => expect(link.status).toBe("stale"));
    await isLive();
  });

  test("that is closed while it waits for its token never connects", async () => {
    const opening = link.open();
    link.close();
    await opening;
    await pause(200);
    expect(gateway.tokensUsed).toEqual([]);
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
});

describe("after the connection was lost", () => {
  test.each(["kick", "cut"] as const)(
    "(%s) it comes back with a new token, its rooms, and a refetch",
    async (loss) => {
      let refetches = 0;
      link.onCatchUp(async () => void refetches++);
      void link.join({ accountId: "a1" });
      await link.open();
      await isLive();
      gateway[loss]();
      await isDown();
      expect(link.status).toBe("stale");
      await isLive();
      expect(gateway.tokensUsed).toEqual([1, 2]);
      expect(gateway.roomsHeld().toSorted()).toEqual(["account:a1", "user:u1"]);
      expect(refetches).toBe(2);
    },
  );

  test("it comes back even where the server refuses it for a while", async () => {
    await link.open();
    await isLive();
    gateway.refusal = "The token has expired.";
    gateway.kick();
    await isDown();
    await vi.waitFor(() => expect(gateway.tokensMinted()).toBe(2), { timeout: 5000 });
    gateway.refusal = null;
    await isLive();
  });

  test("a room that was left meanwhile is not joined again", async () => {
    void link.join({ accountId: "a1" });
    await link.open();
    await isLive();
    gateway.kick();
    await isDown();
    await link.leave({ accountId: "a1" });
    await isLive();
    expect(gateway.roomsHeld()).toEqual(["user:u1"]);
  });
});

describe("a room", () => {
  test("of an account added since is joined with a fresh token", async () => {
    await link.open();
    await isLive();
    gateway.accounts.push("a2");
    await link.join({ accountId: "a2" });
    await isLive();
    expect(gateway.roomsHeld()).toContain("account:a2");
    expect(gateway.tokensUsed).toEqual([1, 2]);
  });

  test("of somebody else is refused in words, and does not renew the token for ever", async () => {
    await link.open();
    await isLive();
    const ack = await link.join({ accountId: "foreign" });
    expect(ack).toEqual({ ok: false, error: "This room is not in the token." });
    await isLive();
    await link.join({ accountId: "foreign" });
    expect(gateway.tokensUsed).toEqual([1, 2]);
  });

  test("joined twice is kept until it is left twice", async () => {
    await link.open();
    await link.join({ accountId: "a1" });
    await link.join({ accountId: "a1" });
    await link.leave({ accountId: "a1" });
    expect(gateway.roomsHeld()).toContain("account:a1");
    await link.leave({ accountId: "a1" });
    await vi.waitFor(() => expect(gateway.roomsHeld()).not.toContain("account:a1"));
  });
});

test("a resync refetches without a reconnect", async () => {
  let refetches = 0;
  link.onCatchUp(async () => void refetches++);
  await link.open();
  await isLive();
  gateway.io.emit("resync", { reason: "the link to Redis was down" });
  await vi.waitFor(() => expect(refetches).toBe(2));
  await isLive();
  expect(gateway.tokensUsed).toEqual([1]);
});

test("a listener hears its event until it is taken off", async () => {
  const heard: number[] = [];
  const listener = (event: { count: number }) => void heard.push(event.count);
  link.on("email:new", listener);
  await link.open();
  await isLive();
  gateway.io.to("user:u1").emit("email:new", syncEvent({ count: 3 }));
  await vi.waitFor(() => expect(heard).toEqual([3]));
  link.off("email:new", listener);
  const later = new Promise<void>((resolve) => link.on("marker", () => resolve()));
  gateway.io.emit("email:new", syncEvent());
  gateway.io.emit("marker");
  await later;
  expect(heard).toEqual([3]);
});
