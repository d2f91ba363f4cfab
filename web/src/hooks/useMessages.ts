import { useSocket } from "postwire-react";
import { useEffect, useMemo, useSyncExternalStore } from "react";
import type { Api } from "../api";
import { MessageFeed } from "../feed";

/** The message list of one account, or of all where null, kept up to date by the gateway. */
export function useMessages(api: Api, accountId: string | null) {
  const { on, off, onCatchUp } = useSocket();
  const feed = useMemo(
    () => new MessageFeed((query) => api.messages({ ...query, accountId })),
    [api, accountId],
  );
  const state = useSyncExternalStore(feed.observe, () => feed.state);

  useEffect(() => {
    const refresh = () => void feed.refresh().catch(() => undefined);
    refresh();
    const stop = onCatchUp(feed.refresh);
    on("email:synced", refresh);
    on("email:new", refresh);
    return () => {
      stop();
      off("email:synced", refresh);
      off("email:new", refresh);
    };
  }, [feed, on, off, onCatchUp]);

  return { ...state, refresh: feed.refresh, loadOlder: feed.loadOlder };
}
