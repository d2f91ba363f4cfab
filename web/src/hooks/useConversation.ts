import { useCallback, useEffect, useRef, useState } from "react";
import type { Api } from "../api";
import type { MessageSummary } from "../model";
import { useMailChanges } from "./MailChanges";

/** Messages fetched at first: more are seldom read. */
const FIRST = 10;
/** The most that the API gives at once. */
const MOST = 200;

interface Loaded {
  subject: string;
  /** How many there are, fetched or not. */
  total: number;
  /** Oldest first, the newest being there. */
  messages: MessageSummary[];
  /** Where the earlier ones begin; null where there are none. */
  cursor: string | null;
}

/** A conversation with its newest messages, kept up to date; earlier ones are fetched when asked. */
export function useConversation(api: Api, id: string, atFirst = FIRST) {
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [fetching, setFetching] = useState(false);
  const leaving = useRef<AbortController | null>(null);
  const held = useRef(atFirst);

  const refetch = useCallback(async () => {
    const signal = leaving.current?.signal;
    try {
      const limit = Math.min(held.current, MOST);
      const [conversation, page] = await Promise.all([
        api.conversation(id, signal),
        api.messagesOf(id, { limit }, signal),
      ]);
      if (signal?.aborted) return;
      setError(null);
      setLoaded({
        subject: conversation.subject,
        total: conversation.messages,
        messages: page.messages.toReversed(),
        cursor: page.nextCursor,
      });
    } catch (failure) {
      if (signal?.aborted) return;
      setError(failure as Error);
      throw failure;
    }
  }, [api, id]);

  useEffect(() => {
    leaving.current = new AbortController();
    // What it sets comes from outside, later.
    // oxlint-disable-next-line react/set-state-in-effect
    void refetch().catch(() => undefined);
    return () => leaving.current?.abort();
  }, [refetch]);
  useMailChanges(refetch);

  const loadEarlier = async () => {
    const signal = leaving.current?.signal;
    if (!loaded?.cursor || fetching) return;
    setFetching(true);
    try {
      const page = await api.messagesOf(id, { cursor: loaded.cursor, limit: MOST }, signal);
      if (signal?.aborted) return;
      const messages = [...page.messages.toReversed(), ...loaded.messages];
      held.current = messages.length;
      setLoaded({ ...loaded, messages, cursor: page.nextCursor });
    } catch (failure) {
      if (!signal?.aborted) setError(failure as Error);
    } finally {
      if (!signal?.aborted) setFetching(false);
    }
  };

  const retry = () => void refetch().catch(() => undefined);
  return { loaded, error, fetching, loadEarlier: () => void loadEarlier(), retry };
}
