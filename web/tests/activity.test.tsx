import { act, cleanup, renderHook, waitFor } from "@testing-library/react";
import { SocketProvider, useAccountRoom, useSocket, type SyncEvent } from "postwire-react";
import type { ReactNode } from "react";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Gateway, startGateway } from "../hooks/tests/gateway";
import { Api as User } from "../hooks/tests/given";
import type { Api } from "../src/api";
import { useSyncActivity } from "../src/hooks/useSyncActivity";
import type { Job } from "../src/model";

let gateway: Gateway;
let user: User;
/** How often a job was looked at. */
let looks = 0;

beforeAll(async () => {
  gateway = await startGateway();
}, 90_000);

afterAll(() => gateway.close());

beforeEach(() => {
  user = new User(gateway.url);
  looks = 0;
});

afterEach(cleanup);

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
    ...user,
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
    () => {
      useAccountRoom(user.first.id);
      return { ...useSyncActivity(api, refresh), status: useSocket().status };
    },
    { wrapper },
  );
  // What is told before the page has caught up is forgotten when it has.
  await waitFor(() => expect(result.current?.status).toBe("live"), { timeout: 20_000 });
  return result;
}

const tell = (more: Partial<SyncEvent>) => gateway.publish(user.event(more));

test("a sync tells its place in the queue, and at the end what it found", async () => {
  const result = await activity([
    { state: "waiting", position: 3 },
    { state: "active" },
    { state: "completed", found: 2 },
  ]);
  act(() => void result.current.syncNow(user.first.id));
  const words = () => result.current.activities[user.first.id]?.words;
  await waitFor(() => expect(words()).toBe("Waiting: 2 before it"));
  await waitFor(() => expect(words()).toBe("Looking for new mail…"), { timeout: 4000 });
  await waitFor(() => expect(words()).toBe("2 new messages"), { timeout: 4000 });
  expect(result.current.activities[user.first.id]?.busy).toBe(false);
});

test("progress is told in words and numbers, and what the job says does not hide it", async () => {
  const result = await activity([]);
  await tell({ type: "progress", done: 1200, total: 9000, left: 125 });
  await waitFor(() =>
    expect(result.current.activities[user.first.id]).toEqual({
      words: "1,200 of 9,000 messages, about 2 minutes left",
      busy: true,
      failed: false,
      progress: { done: 1200, total: 9000 },
    }),
  );
  act(() => void result.current.syncNow(user.first.id));
  await waitFor(() => expect(looks).toBe(2), { timeout: 4000 });
  expect(result.current.activities[user.first.id]?.progress?.done).toBe(1200);
  await tell({ type: "progress", done: 9000, total: 9000 });
  await waitFor(() =>
    expect(result.current.activities[user.first.id]?.progress ?? null).toBe(null),
  );
});

test("a failed sync says why, until one succeeds", async () => {
  const result = await activity([{ state: "failed", error: "The server does not answer." }]);
  act(() => void result.current.syncNow(user.first.id));
  await waitFor(() =>
    expect(result.current.activities[user.first.id]?.words).toBe("The server does not answer."),
  );
  expect(result.current.activities[user.first.id]?.failed).toBe(true);
  await tell({ type: "push" });
  await waitFor(() => expect(result.current.activities[user.first.id]).toBe(null));
});
