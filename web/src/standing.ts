/** How an account stands, in words, and how it is mended where it does not work. */

import type { Account, Job } from "./model";
import { ago, duration, until } from "./time";

/** What a person can do about it. */
export type Remedy = "password" | "resume" | "retry";

export interface Standing {
  words: string;
  troubled: boolean;
  remedy: Remedy | null;
}

export function standingOf(account: Account, now: number): Standing {
  switch (account.state) {
    case "connecting":
      return quiet(busy(account, now) ?? "Signing in…");
    case "paused":
      return { words: "Paused: nothing is synced.", troubled: false, remedy: "resume" };
    case "auth_failed":
      return refused(account);
    case "unreachable":
      return { words: unreachable(account, now), troubled: true, remedy: "retry" };
    default:
      return quiet(busy(account, now) ?? synced(account, now));
  }
}

function quiet(words: string): Standing {
  return { words, troubled: false, remedy: null };
}

function refused(account: Account): Standing {
  const reason = sentence(account.stateReason ?? "The mail server refused the login.");
  // A password would take the place of the access, which only the other application can renew.
  return account.auth === "oauth"
    ? {
        words: `${reason} Connect it again in the application it was added in.`,
        troubled: true,
        remedy: "retry",
      }
    : { words: reason, troubled: true, remedy: "password" };
}

function unreachable(account: Account, now: number): string {
  const reason = sentence(account.stateReason ?? "The mail server cannot be reached.");
  return `${reason} ${next(account, now)}`;
}

function next({ nextSyncAt, busyUntil }: Account, now: number): string {
  if (!nextSyncAt) return "It is tried again when you ask for it.";
  const due = busyUntil && busyUntil > nextSyncAt ? busyUntil : nextSyncAt;
  return nextTry(due, now);
}

function nextTry(due: string, now: number): string {
  const soon = Date.parse(due) - now < 60_000;
  return `Next try: ${soon ? "within a minute" : until(due, now)}.`;
}

/** Of a server that wants to be left alone; the account's state says nothing of it. */
function busy({ busyUntil, stateReason }: Account, now: number): string | null {
  if (!busyUntil || Date.parse(busyUntil) <= now) return null;
  const reason = sentence(stateReason ?? "The mail server asks to wait.");
  return `${reason} ${nextTry(busyUntil, now)}`;
}

function synced({ lastSyncedAt }: Account, now: number): string {
  return lastSyncedAt ? `Synced ${ago(lastSyncedAt, now)}` : "Waiting for the first sync";
}

function sentence(words: string): string {
  return /[.!?…]$/.test(words) ? words : `${words}.`;
}

/** What a job is doing that has not ended. */
export function jobWords({ state, position, error }: Job): string {
  if (state === "delayed") return `${sentence(error ?? "It did not work.")} Trying again soon.`;
  if (state === "waiting" && position !== null && position > 1) {
    return `Waiting: ${(position - 1).toLocaleString()} before it`;
  }
  return "Looking for new mail…";
}

/** What a sync found. */
export function foundWords(count: number): string {
  if (count === 0) return "No new mail";
  return count === 1 ? "1 new message" : `${count.toLocaleString()} new messages`;
}

/** How far a sync is; `left` in seconds. */
export function progressWords(done: number, total: number, left: number | null): string {
  const so = `${done.toLocaleString()} of ${total.toLocaleString()} messages`;
  return left === null ? so : `${so}, ${duration(left)} left`;
}
