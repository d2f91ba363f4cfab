import { useSyncExternalStore } from "react";

/** What is on show; it lies in the fragment, so that Back and reload do what people expect. */
export interface Route {
  accountId: string | null;
  /** The name of a mailbox, or `ANY_MAILBOX`; null is the inbox. */
  mailbox: string | null;
  /** What is searched for. */
  looked: string | null;
  conversationId: string | null;
  /** The message that is unfolded in its conversation; it may stand alone. */
  messageId: string | null;
}

/** No mailbox's name: RFC 3501 takes `*` for a wildcard. */
export const ANY_MAILBOX = "*";

const NAMES: Record<keyof Route, string> = {
  accountId: "account",
  mailbox: "mailbox",
  looked: "q",
  conversationId: "conversation",
  messageId: "message",
};
const FIELDS = Object.keys(NAMES) as (keyof Route)[];

export function parseRoute(fragment: string): Route {
  const params = new URLSearchParams(fragment.replace(/^#/, ""));
  const given = FIELDS.map((field) => [field, params.get(NAMES[field])]);
  return Object.fromEntries(given) as Route;
}

export function routeFragment(route: Partial<Route>): string {
  const params = new URLSearchParams();
  for (const field of FIELDS) {
    const value = route[field];
    if (value) params.set(NAMES[field], value);
  }
  return `#${params.toString()}`;
}

/** The route, and how to go elsewhere; what is left out there is not on show. */
export function useRoute(): [Route, (route: Partial<Route>) => void] {
  const fragment = useSyncExternalStore(observe, () => location.hash);
  return [parseRoute(fragment), go];
}

function go(route: Partial<Route>): void {
  location.hash = routeFragment(route);
}

function observe(observer: () => void): () => void {
  addEventListener("hashchange", observer);
  return () => removeEventListener("hashchange", observer);
}
