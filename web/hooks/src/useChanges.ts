import { useCallback, useEffect, useRef } from "react";
import { Follower, idOf, type Account, type OnChanges } from "./follower.js";
import { useLink } from "./useLink.js";

/**
 * Follows accounts and hands over what changes in them, missing nothing.
 *
 * `onChanges` gets a batch, one entry an account, and is never called again before its promise is
 * settled. Each account begins with `reset: true`: load what is shown. Where it rejects, it is told
 * to load again, with a growing pause; `retry` goes on at once. When `view` changes, something else
 * is shown, and each account begins anew.
 */
export function useChanges(
  accounts: readonly Account[],
  onChanges: OnChanges,
  view?: unknown,
): { retry: () => void } {
  const link = useLink();
  const latest = useRef({ accounts, onChanges });
  const follower = useRef<Follower | null>(null);
  // Ids hold no line breaks; another list with the same ones is no reason to begin anew.
  const ids = accounts.map(idOf).join("\n");

  useEffect(() => {
    latest.current = { accounts, onChanges };
  });

  useEffect(() => {
    const made = new Follower(link, (batch) => latest.current.onChanges(batch));
    follower.current = made;
    return () => made.stop();
  }, [link]);

  useEffect(() => follower.current?.reload(), [link, view]);
  useEffect(() => follower.current?.follow(latest.current.accounts), [link, ids]);

  return { retry: useCallback(() => follower.current?.retry(), []) };
}
