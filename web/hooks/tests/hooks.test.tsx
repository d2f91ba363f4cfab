import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import { StrictMode, type ReactNode } from "react";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { SyncEvent } from "../src/model";
import { SocketProvider } from "../src/SocketProvider";
import { useChanges } from "../src/useChanges";
import { useEmailUpdates } from "../src/useEmailUpdates";
import { useSocket } from "../src/useSocket";
import { startGateway, type Gateway } from "./gateway";
import { allOf, Api, Shown } from "./given";

let gateway: Gateway;
let api: Api;

beforeAll(async () => {
  gateway = await startGateway();
}, 90_000);

afterAll(() => gateway.close());

beforeEach(() => {
  api = new Api(gateway.url, 2);
});

afterEach(cleanup);

function wrapper({ children }: { children: ReactNode }) {
  return (
    <StrictMode>
      <SocketProvider api={api}>{children}</SocketProvider>
    </StrictMode>
  );
}

const soon = { timeout: 20_000 };

async function emailUpdates(accountId: string | null) {
  const { result } = renderHook(() => useEmailUpdates(accountId), { wrapper });
  await waitFor(() => expect(result.current?.status).toBe("live"), soon);
  return result;
}

let revision = 1;

async function arrive(more: Partial<SyncEvent> = {}): Promise<SyncEvent> {
  const event = api.event({ revision: ++revision, ...more });
  await gateway.publish(event);
  return event;
}

test("useSocket says when it is connected and joins a room with the gateway's answer", async () => {
  const { result } = renderHook(() => useSocket(), { wrapper });
  await waitFor(() => expect(result.current?.isConnected).toBe(true), soon);
  const ack = await act(() => result.current.joinRoom({ accountId: api.first.id }));
  expect(ack).toMatchObject({ ok: true, joined: [`account:${api.first.id}`] });
});

test("a hook without a provider fails with what is missing", () => {
  expect(() => renderHook(() => useSocket())).toThrow("SocketProvider");
});

test("useEmailUpdates counts messages, not events, until it is reset", async () => {
  const result = await emailUpdates(null);
  await arrive({ count: 5 });
  await arrive({ count: 2 });
  await waitFor(() => expect(result.current.newEmailCount).toBe(7));
  act(() => result.current.resetCount());
  expect(result.current.newEmailCount).toBe(0);
});

test("useEmailUpdates counts a batch once though it is told twice", async () => {
  const result = await emailUpdates(null);
  await gateway.publish(await arrive({ count: 5 }));
  await arrive({ count: 1 });
  await waitFor(() => expect(result.current.newEmailCount).toBe(6));
});

test("useEmailUpdates of one account leaves out the others", async () => {
  const result = await emailUpdates(api.first.id);
  await arrive({ accountId: api.all[1]!.id, count: 9 });
  await arrive({ count: 2 });
  await waitFor(() => expect(result.current.newEmailCount).toBe(2));
});

test("useEmailUpdates hears its account's room and keeps the last update", async () => {
  const result = await emailUpdates(api.first.id);
  const event = await arrive({ count: 0, type: "flags" });
  await waitFor(() => expect(result.current.lastUpdate?.revision).toBe(event.revision));
  expect(result.current.lastUpdate?.type).toBe("flags");
  expect(result.current.newEmailCount).toBe(0);
});

test("useEmailUpdates starts from nothing where the account changes", async () => {
  const [first, second] = api.all.map(({ id }) => id) as [string, string];
  const { result, rerender } = renderHook(({ id }) => useEmailUpdates(id), {
    wrapper,
    initialProps: { id: first },
  });
  await waitFor(() => expect(result.current?.status).toBe("live"), soon);
  await arrive({ count: 4 });
  await waitFor(() => expect(result.current.newEmailCount).toBe(4));
  rerender({ id: second });
  expect(result.current.newEmailCount).toBe(0);
  await waitFor(() => expect(result.current.status).toBe("live"));
  await arrive({ accountId: second, count: 0, type: "flags" });
  await waitFor(() => expect(result.current.lastUpdate?.accountId).toBe(second));
});

test("useChanges keeps what is shown complete, and says so in the status", async () => {
  const shown = new Shown(api);
  const ids = api.all.map(({ id }) => id);
  const { result } = renderHook(
    () => {
      useChanges(ids, shown.take);
      return useSocket();
    },
    { wrapper },
  );
  await waitFor(() => expect(result.current?.status).toBe("live"), soon);
  api.first.deliver(3);
  await gateway.publish(api.event());
  await waitFor(() => expect(shown.messages).toEqual(allOf(api)));
  await waitFor(() => expect(result.current.status).toBe("live"));
});

test("useChanges loads again for another view or account, and not for each rendering", async () => {
  const shown = new Shown(api);
  const [first, second] = api.all.map(({ id }) => id) as [string, string];
  const { rerender } = renderHook(({ ids, view }) => useChanges([...ids], shown.take, view), {
    wrapper,
    initialProps: { ids: [first], view: "inbox" },
  });
  await waitFor(() => expect(shown.resets).toBe(1), soon);
  rerender({ ids: [first], view: "inbox" });
  rerender({ ids: [first], view: "archive" });
  await waitFor(() => expect(shown.resets).toBe(2));
  rerender({ ids: [first, second], view: "archive" });
  await waitFor(() => expect(shown.resets).toBe(3));
  expect(shown.batches.at(-1)).toMatchObject([{ accountId: second, reset: true }]);
});
