import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { Follower } from "../src/follower";
import { Link } from "../src/link";
import { startGateway, type Gateway } from "./gateway";
import { allOf, Api, Shown } from "./given";

let gateway: Gateway;
let api: Api;
let link: Link;
let shown: Shown;
let follower: Follower;

beforeAll(async () => {
  gateway = await startGateway();
}, 90_000);

afterAll(() => gateway.close());

beforeEach(() => given(1));

afterEach(() => {
  follower.stop();
  link.close();
});

function given(accounts: number): void {
  follower?.stop();
  link?.close();
  api = new Api(gateway.url, accounts);
  shown = new Shown(api);
  link = new Link(api);
  follower = new Follower(link, shown.take);
}

const isLive = () => vi.waitFor(() => expect(link.status).toBe("live"), { timeout: 20_000 });
const shows = () =>
  vi.waitFor(() => expect(shown.messages).toEqual(allOf(api)), { timeout: 20_000 });

async function live(): Promise<void> {
  follower.follow(api.all.map(({ id }) => id));
  await link.open();
  await isLive();
}

/** A message comes, and the gateway is told. */
async function arrive(count = 1): Promise<void> {
  api.first.deliver(count);
  await gateway.publish(api.event());
}

describe("at the beginning", () => {
  test("each account is to be loaded, all of them in one batch", async () => {
    given(3);
    await live();
    expect(shown.batches).toHaveLength(1);
    expect(shown.batches[0]?.map(({ reset }) => reset)).toEqual([true, true, true]);
  });

  test("a position that the app has already is not asked for", async () => {
    follower.follow(await api.accounts());
    api.asked.length = 0;
    await vi.waitFor(() => expect(shown.resets).toBe(1));
    expect(api.asked).toEqual([]);
  });

  test("mail is shown though there is no gateway", async () => {
    gateway.road.open = false;
    follower.follow([api.first.id]);
    await link.open();
    await vi.waitFor(() => expect(shown.resets).toBe(1));
    await vi.waitFor(() => expect(link.status).toBe("stale"));
    gateway.road.open = true;
    await isLive();
  });

  test("it is not live before what is shown was loaded", async () => {
    const loaded = shown.waitToBeLoaded();
    follower.follow([api.first.id]);
    await link.open();
    await vi.waitFor(() => expect(link.isConnected).toBe(true));
    await vi.waitFor(() => expect(shown.batches).toHaveLength(1));
    expect(link.status).toBe("catching-up");
    loaded();
    await isLive();
  });
});

describe("an event", () => {
  test("brings what has changed, and only that", async () => {
    await live();
    await arrive();
    await shows();
    expect(shown.batches.at(-1)?.[0]).toMatchObject({ reset: false, added: [{ id: "2" }] });
    await isLive();
  });

  test("that comes late or twice costs nothing", async () => {
    await live();
    await arrive();
    await shows();
    await isLive();
    const asked = api.asked.length;
    await gateway.publish(api.event());
    await gateway.publish(api.event({ revision: 1 }));
    await gateway.publish(api.event({ epoch: 0, revision: 99 }));
    await heard("sync:failed", { type: "failed", error: "the last one" });
    expect(api.asked.length).toBe(asked);
    expect(link.status).toBe("live");
  });

  test("is one of a burst that costs few calls", async () => {
    await live();
    let told = 0;
    link.on("email:new", () => told++);
    api.before = () => vi.waitFor(() => expect(told).toBe(100), { timeout: 20_000 });
    for (let n = 0; n < 100; n++) await arrive();
    await shows();
    expect(api.count("changes")).toBeLessThanOrEqual(2);
  });

  test("of an account that is followed no longer is left alone", async () => {
    given(2);
    await live();
    follower.follow([api.all[1]!.id]);
    await arrive();
    await gateway.publish(api.event({ accountId: api.all[1]!.id, revision: 0 }));
    await heard("email:new", {});
    expect(api.count("changes")).toBe(0);
  });
});

describe("what has changed", () => {
  test("in many pages is handed over at once, or not at all", async () => {
    await live();
    api.first.page = 2;
    let pages = 0;
    api.before = async (what) => {
      if (what === "changes" && ++pages === 3) throw new Error("The server cannot be reached.");
    };
    await arrive(9);
    await vi.waitFor(() => expect(pages).toBe(3));
    expect(shown.batches).toHaveLength(1);
    expect(link.status).toBe("catching-up");
    await shows();
    expect(shown.batches).toHaveLength(2);
    await isLive();
  });

  test("in more pages than is sensible is loaded again", async () => {
    await live();
    api.first.page = 1;
    await arrive(50);
    await shows();
    expect(shown.resets).toBe(2);
    await isLive();
  });

  test("in another epoch is loaded again", async () => {
    await live();
    api.first.epoch = 2;
    await arrive();
    await shows();
    expect(shown.resets).toBe(2);
    await isLive();
  });

  test("and could not be shown is loaded again, until it is", async () => {
    await live();
    let failures = 2;
    shown.before = async () => {
      if (failures-- > 0) throw new Error("The list could not be loaded.");
    };
    await arrive();
    await vi.waitFor(() => expect(failures).toBe(1));
    expect(link.status).toBe("catching-up");
    follower.retry();
    await shows();
    expect(shown.batches.slice(-2).map(([first]) => first?.reset)).toEqual([true, true]);
    await isLive();
  });

  test("is loaded again where something else is shown now", async () => {
    await live();
    follower.reload();
    await vi.waitFor(() => expect(shown.resets).toBe(2));
    await isLive();
  });

  test("is loaded again where something else is shown before the load was done", async () => {
    const loaded = shown.waitToBeLoaded();
    follower.follow([api.first.id]);
    await vi.waitFor(() => expect(shown.resets).toBe(1));
    follower.reload();
    loaded();
    await vi.waitFor(() => expect(shown.resets).toBe(2));
  });

  test("in many accounts is asked for a few at a time and handed over together", async () => {
    given(30);
    await live();
    let most = 0;
    let running = 0;
    api.before = async (what) => {
      if (what !== "changes") return;
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
    };
    for (const account of api.all) account.deliver();
    await gateway.loseRedis();
    await shows();
    expect(most).toBeLessThanOrEqual(4);
    expect(shown.batches).toHaveLength(2);
  });

  test("in one account is shown though another one cannot be asked", async () => {
    given(2);
    await live();
    let refused = 0;
    const changes = api.changes;
    api.changes = async (id, since) => {
      if (id === api.first.id && ++refused < 3) throw new Error("The server cannot be reached.");
      return changes(id, since);
    };
    for (const account of api.all) account.deliver();
    await gateway.loseRedis();
    await vi.waitFor(() => expect(shown.batches).toHaveLength(2), { timeout: 20_000 });
    expect(shown.batches[1]?.map(({ accountId }) => accountId)).toEqual([api.all[1]!.id]);
    await shows();
  });
});

describe("nothing is missed", () => {
  test("while the road is cut", async () => {
    await live();
    gateway.road.open = false;
    gateway.road.cut();
    await vi.waitFor(() => expect(link.status).toBe("stale"));
    await arrive(3);
    gateway.road.open = true;
    await shows();
    await isLive();
    expect(shown.resets).toBe(1);
  });

  test("while the gateway was killed and started again", async () => {
    await live();
    await gateway.kill();
    await vi.waitFor(() => expect(link.status).toBe("stale"));
    await arrive(3);
    await gateway.start();
    await shows();
    await isLive();
  });

  test("while the gateway has lost Redis", async () => {
    await live();
    await gateway.loseRedis();
    api.first.deliver(3);
    await shows();
    await isLive();
    expect(api.count("token")).toBe(1);
  });

  test("while the machine slept: it looks as soon as it is awake", async () => {
    await live();
    api.first.deliver();
    dispatchEvent(new Event("online"));
    await shows();
    await isLive();
    expect(api.count("changes")).toBe(1);
  });

  test("where the API was away after a reconnect", async () => {
    await live();
    let failures = 2;
    api.before = async (what) => {
      if (what === "accounts" && failures-- > 0) throw new Error("The server cannot be reached.");
    };
    gateway.road.cut();
    api.first.deliver();
    await vi.waitFor(() => expect(failures).toBe(1), { timeout: 20_000 });
    expect(link.status).toBe("catching-up");
    await shows();
    await isLive();
  });

  test("where the database was set back to an older state", async () => {
    await live();
    await arrive(3);
    await shows();
    api.first.revision = 2;
    await gateway.loseRedis();
    await vi.waitFor(() => expect(shown.resets).toBe(2), { timeout: 20_000 });
    await isLive();
  });
});

async function reconnect(): Promise<void> {
  gateway.road.cut();
  await vi.waitFor(() => expect(link.isConnected).toBe(false));
  await isLive();
}

describe("the position in the answer to join", () => {
  test("is where to begin: the API is not asked", async () => {
    await gateway.publish(api.event());
    await link.open();
    await isLive();
    follower.follow([api.first.id]);
    await vi.waitFor(() => expect(shown.resets).toBe(1));
    await isLive();
    expect(api.asked).toEqual(["token"]);
  });

  test("that is ours says that nothing was missed: the API is not asked", async () => {
    await live();
    await arrive();
    await shows();
    await isLive();
    api.asked.length = 0;
    await reconnect();
    expect(api.asked).toEqual(["token"]);
  });

  test("that is further brings what was missed", async () => {
    await live();
    gateway.road.open = false;
    gateway.road.cut();
    await arrive(2);
    api.asked.length = 0;
    gateway.road.open = true;
    await shows();
    await isLive();
    expect(api.count("accounts")).toBe(0);
  });

  test("that is unknown leaves it to the API", async () => {
    await live();
    await gateway.wipeRedis();
    api.first.deliver(2);
    await reconnect();
    expect(shown.messages).toEqual(allOf(api));
  });
});

test("an account that was removed is not waited for", async () => {
  given(2);
  await live();
  const [gone] = api.all.splice(0, 1);
  await gateway.publish(api.event({ accountId: gone!.id, revision: 5 }));
  await vi.waitFor(() => expect(api.count("changes")).toBe(1));
  await isLive();
  await gateway.loseRedis();
  await isLive();
});

/** Waits until an event was heard that was published after all others. */
async function heard(name: string, more: object): Promise<void> {
  const arrived = new Promise<void>((resolve) => link.on(name, () => resolve()));
  await gateway.publish(api.event({ revision: 0, ...more }));
  await arrived;
}
