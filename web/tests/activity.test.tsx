import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import { SocketProvider, useSocket } from "postwire-react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Gateway, startGateway } from "../hooks/tests/gateway";
import { syncEvent } from "../hooks/tests/given";
import type { Api } from "../src/api";
import { useSyncActivity } from "../src/hooks/useSyncActivity";
import type { Job } from "../src/model";

let gateway: Gateway;
/** How often a job was looked at. */
let looks = 0;

beforeEach(async () => {
  gateway = await startGateway();
  looks = 0;
});

afterEach(async () => {
  cleanup();
  await gateway.close();
});

const job = (more: Partial<Job>): Job => ({
  id: "j1",
  accountId: "a1",
  state: "active",
  found: 0,
  error: null,
  position: null,
  ...more,
});

const refresh = async () => undefined;

/** The activity of a page whose jobs go through these states, one a look. */
async function activity(states: Partial<Job>[]) {
  const jobs = states.map(job);
  const api = {
    ...gateway.api,
    sync: async () => ({ jobId: "j1" }),
    job: async () => {
      looks++;
      return jobs.shift() ?? job({ state: "active" });
    },
  } as unknown as Api;
  const wrapper = ({ children }: { children: ReactNode }) => (
    <SocketProvider api={api}>{children}</SocketProvider>
  );
  const { result } = renderHook(
    () => ({ ...useSyncActivity(api, refresh), status: useSocket().status }),
    { wrapper },
  );
  // What is told before the page has caught up is forgotten when it has.
  await waitFor(() => expect(result.current?.status).toBe("live"), { timeout: 8000 });
  return result;
}

const tell = (event: string, more: object) => gateway.io.to("user:u1").emit(event, syncEvent(more));

test("a sync tells its place in the queue, and at the end what it found", async () => {
  const result = await activity([
    { state: "waiting", position: 3 },
    { state: "active" },
    { state: "completed", found: 2 },
  ]);
  act(() => void result.current.syncNow("a1"));
  const words = () => result.current.activities["a1"]?.words;
  await waitFor(() => expect(words()).toBe("Waiting: 2 before it"));
  await waitFor(() => expect(words()).toBe("Looking for new mail…"), { timeout: 4000 });
  await waitFor(() => expect(words()).toBe("2 new messages"), { timeout: 4000 });
  expect(result.current.activities["a1"]?.busy).toBe(false);
});

test("progress is told in words and numbers, and what the job says does not hide it", async () => {
  const result = await activity([]);
  tell("sync:progress", { type: "progress", done: 1200, total: 9000, left: 125 });
  await waitFor(() =>
    expect(result.current.activities["a1"]).toEqual({
      words: "1,200 of 9,000 messages, about 2 minutes left",
      busy: true,
      failed: false,
      progress: { done: 1200, total: 9000 },
    }),
  );
  act(() => void result.current.syncNow("a1"));
  await waitFor(() => expect(looks).toBe(2), { timeout: 4000 });
  expect(result.current.activities["a1"]?.progress?.done).toBe(1200);
  tell("sync:progress", { type: "progress", done: 9000, total: 9000 });
  await waitFor(() => expect(result.current.activities["a1"]?.progress ?? null).toBe(null));
});

test("a failed sync says why, until one succeeds", async () => {
  const result = await activity([{ state: "failed", error: "The server does not answer." }]);
  act(() => void result.current.syncNow("a1"));
  await waitFor(() =>
    expect(result.current.activities["a1"]?.words).toBe("The server does not answer."),
  );
  expect(result.current.activities["a1"]?.failed).toBe(true);
  tell("email:synced", {});
  await waitFor(() => expect(result.current.activities["a1"]).toBe(null));
});
