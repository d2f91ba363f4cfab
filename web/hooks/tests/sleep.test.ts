import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { watchForSleep } from "../src/sleep";

let wakes = 0;
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  wakes = 0;
  stop = watchForSleep(() => wakes++);
});

afterEach(() => {
  stop();
  vi.useRealTimers();
});

test("an hour without a timer was a sleep", () => {
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(15_000);
  expect(wakes).toBe(1);
  vi.advanceTimersByTime(60_000);
  expect(wakes).toBe(1);
});

test("a hidden tab, whose timers run once a minute, has not slept", () => {
  vi.setSystemTime(Date.now() + 60_000);
  vi.advanceTimersByTime(15_000);
  expect(wakes).toBe(0);
});

test("it is told when the machine is online again, until it is stopped", () => {
  dispatchEvent(new Event("online"));
  expect(wakes).toBe(1);
  stop();
  dispatchEvent(new Event("online"));
  expect(wakes).toBe(1);
});
