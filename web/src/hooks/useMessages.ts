import { useChanges } from "postwire-react";
import { useMemo, useSyncExternalStore } from "react";
import type { Api } from "../api";
import { MessageFeed } from "../feed";
import type { Account } from "../model";

const NONE: Account[] = [];

/** The message list of one account, or of all where null, kept up to date by the gateway. */
export function useMessages(api: Api, accounts: Account[] | null, accountId: string | null) {
  const feed = useMemo(
    () => new MessageFeed((query) => api.messages({ ...query, accountId })),
    [api, accountId],
  );
  const state = useSyncExternalStore(feed.observe, () => feed.state);
  const shown = accounts?.filter(({ id }) => accountId === null || id === accountId) ?? NONE;
  const { retry } = useChanges(shown, feed.update, feed);
  return { ...state, retry, loadOlder: feed.loadOlder };
}
