import { expect, test } from "vitest";
import { coalesce } from "../src/coalesce";
import { pause } from "../src/pause";

test("a call made during a run is followed by a whole run, and runs never overlap", async () => {
  let running = 0;
  let most = 0;
  const seen: number[] = [];
  let state = 0;
  const work = coalesce(async () => {
    most = Math.max(most, ++running);
    seen.push(state);
    await pause(10);
    running--;
  }, 1);
  const first = work();
  state = 1;
  const second = work();
  state = 2;
  await Promise.all([first, second, work()]);
  expect(seen).toEqual([0, 2]);
  expect(most).toBe(1);
});

test("a failed run rejects its own callers and not those of the next run", async () => {
  let runs = 0;
  const work = coalesce(async () => {
    if (++runs === 1) throw new Error("first");
  }, 1);
  const first = work();
  const second = work();
  await expect(first).rejects.toThrow("first");
  await expect(second).resolves.toBeUndefined();
});
