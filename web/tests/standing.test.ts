import { expect, test } from "vitest";
import type { Account, Job } from "../src/model";
import { foundWords, jobWords, progressWords, standingOf } from "../src/standing";

const NOW = Date.UTC(2025, 5, 1, 12);
const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();

const account = (more: Partial<Account>) =>
  ({
    state: "active",
    stateReason: null,
    auth: "password",
    lastSyncedAt: null,
    nextSyncAt: null,
    busyUntil: null,
    ...more,
  }) as Account;
const words = (more: Partial<Account>) => standingOf(account(more), NOW).words;

const job = (more: Partial<Job>) => ({ error: null, position: null, ...more }) as Job;

test("an account in order says when it was synced", () => {
  expect(words({ lastSyncedAt: at(-10) })).toBe("Synced just now");
  expect(words({})).toBe("Waiting for the first sync");
  expect(standingOf(account({}), NOW).remedy).toBe(null);
});

test("a refused password is mended by a new one", () => {
  const refused = account({ state: "auth_failed", stateReason: "The password was refused." });
  expect(standingOf(refused, NOW)).toEqual({
    words: "The password was refused.",
    troubled: true,
    remedy: "password",
  });
});

test("access that was withdrawn is never mended by a password", () => {
  const withdrawn = account({
    state: "auth_failed",
    auth: "oauth",
    stateReason: "Access was withdrawn; connect the account again.",
  });
  const standing = standingOf(withdrawn, NOW);
  expect(standing.remedy).toBe("retry");
  expect(standing.words).toContain("in the application it was added in");
});

test("a server that cannot be reached comes with the reason and the next try", () => {
  const state = "unreachable" as const;
  const reason = "Nobody answers at imap.example.com";
  expect(words({ state, stateReason: reason, nextSyncAt: at(300) })).toBe(
    "Nobody answers at imap.example.com. Next try: in 5 minutes.",
  );
  expect(words({ state, nextSyncAt: at(-5) })).toContain("Next try: within a minute.");
  expect(words({ state })).toContain("It is tried again when you ask for it.");
  // What the server asks for counts more than the schedule.
  expect(words({ state, nextSyncAt: at(30), busyUntil: at(600) })).toContain("in 10 minutes");
});

test("a server that wants to be left alone says until when, and no longer than that", () => {
  const busy = { stateReason: "The mail server slows this account down", lastSyncedAt: at(-60) };
  expect(words({ ...busy, busyUntil: at(120) })).toBe(
    "The mail server slows this account down. Next try: in 2 minutes.",
  );
  expect(words({ ...busy, busyUntil: at(-1) })).toBe("Synced 1 minute ago");
});

test("what is paused can be resumed", () => {
  expect(standingOf(account({ state: "paused" }), NOW).remedy).toBe("resume");
});

test("a job says what it waits for", () => {
  expect(jobWords(job({ state: "waiting", position: 4 }))).toBe("Waiting: 3 before it");
  expect(jobWords(job({ state: "waiting", position: 1 }))).toBe("Looking for new mail…");
  expect(jobWords(job({ state: "active" }))).toBe("Looking for new mail…");
  expect(jobWords(job({ state: "delayed", error: "No connection is free" }))).toBe(
    "No connection is free. Trying again soon.",
  );
});

test("what was found and how far it is are told in numbers", () => {
  expect(foundWords(0)).toBe("No new mail");
  expect(foundWords(1)).toBe("1 new message");
  expect(foundWords(1200)).toBe("1,200 new messages");
  expect(progressWords(1200, 9000, 150)).toBe("1,200 of 9,000 messages, about 3 minutes left");
  expect(progressWords(1, 20, null)).toBe("1 of 20 messages");
});
