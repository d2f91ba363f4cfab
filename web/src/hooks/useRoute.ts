import { useSyncExternalStore } from "react";

/** What is on show; it lies in the fragment, so that Back and reload do what people expect. */
export interface Route {
  accountId: string | null;
  messageId: string | null;
}

export function parseRoute(fragment: string): Route {
  const params = new URLSearchParams(fragment.replace(/^#/, ""));
  return { accountId: params.get("account"), messageId: params.get("message") };
}

export function routeFragment({ accountId, messageId }: Route): string {
  const params = new URLSearchParams();
  if (accountId) params.set("account", accountId);
  if (messageId) params.set("message", messageId);
  return `#${params.toString()}`;
}

export function useRoute(): [Route, (route: Route) => void] {
  const fragment = useSyncExternalStore(observe, () => location.hash);
  return [parseRoute(fragment), go];
}

function go(route: Route): void {
  location.hash = routeFragment(route);
}

function observe(observer: () => void): () => void {
  addEventListener("hashchange", observer);
  return () => removeEventListener("hashchange", observer);
}
