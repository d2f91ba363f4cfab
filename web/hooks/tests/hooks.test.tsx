import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SocketProvider } from "../src/SocketProvider";
import { useEmailUpdates } from "../src/useEmailUpdates";
import { useSocket } from "../src/useSocket";
import { startGateway, type Gateway } from "./gateway";
import { syncEvent } from "./given";

let gateway: Gateway;

beforeEach(async () => {
  gateway = await startGateway();
});

afterEach(async () => {
  cleanup();
  await gateway.close();
});

function wrapper({ children }: { children: ReactNode }) {
  return <SocketProvider api={gateway.api}>{children}</SocketProvider>;
}

async function emailUpdates(accountId: string | null) {
  const { result } = renderHook(() => useEmailUpdates(accountId), { wrapper });
  await waitFor(() => expect(result.current?.status).toBe("live"), { timeout: 8000 });
  return result;
}

test("useSocket says when it is connected and joins a room with the gateway's answer", async () => {
  const { result } = renderHook(() => useSocket(), { wrapper });
  await waitFor(() => expect(result.current?.isConnected).toBe(true));
  expect(await act(() => result.current.joinRoom({ accountId: "a1" }))).toEqual({
    ok: true,
    joined: ["account:a1"],
  });
});

test("useSocket without a provider fails with what is missing", () => {
  expect(() => renderHook(() => useSocket())).toThrow("SocketProvider");
});

test("useEmailUpdates counts messages, not events, until it is reset", async () => {
  const result = await emailUpdates(null);
  gateway.io.to("user:u1").emit("email:new", syncEvent({ count: 5 }));
  gateway.io.to("user:u1").emit("email:new", syncEvent({ count: 2 }));
  await waitFor(() => expect(result.current.newEmailCount).toBe(7));
  act(() => result.current.resetCount());
  expect(result.current.newEmailCount).toBe(0);
});

test("useEmailUpdates counts a batch once though it is told twice", async () => {
  const result = await emailUpdates(null);
  const event = syncEvent({ count: 5 });
  gateway.io.to("user:u1").emit("email:new", event);
  gateway.io.to("user:u1").emit("email:new", event);
  gateway.io.to("user:u1").emit("email:new", syncEvent({ count: 1 }));
  await waitFor(() => expect(result.current.newEmailCount).toBe(6));
});

test("useEmailUpdates of one account leaves out the others", async () => {
  const result = await emailUpdates("a1");
  gateway.io.to("user:u1").emit("email:new", syncEvent({ accountId: "a2", count: 9 }));
  gateway.io.to("user:u1").emit("email:new", syncEvent({ accountId: "a1", count: 2 }));
  await waitFor(() => expect(result.current.newEmailCount).toBe(2));
});

test("useEmailUpdates hears its account's room and keeps the last update", async () => {
  const result = await emailUpdates("a1");
  const event = syncEvent({ count: 0, type: "flags" });
  gateway.io.to("account:a1").emit("email:synced", event);
  await waitFor(() => expect(result.current.lastUpdate).toEqual(event));
  expect(result.current.newEmailCount).toBe(0);
});

test("useEmailUpdates starts from nothing where the account changes", async () => {
  gateway.accounts = ["a1", "a2"];
  const { result, rerender } = renderHook(({ id }) => useEmailUpdates(id), {
    wrapper,
    initialProps: { id: "a1" },
  });
  await waitFor(() => expect(result.current?.status).toBe("live"));
  gateway.io.to("user:u1").emit("email:new", syncEvent({ count: 4 }));
  await waitFor(() => expect(result.current.newEmailCount).toBe(4));
  rerender({ id: "a2" });
  expect(result.current.newEmailCount).toBe(0);
  await waitFor(() => expect(gateway.roomsHeld().toSorted()).toEqual(["account:a2", "user:u1"]));
});
