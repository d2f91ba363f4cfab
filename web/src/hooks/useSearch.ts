import { useCallback } from "react";
import type { Api } from "../api";
import type { MessageSummary, Piece } from "../model";
import { useListing } from "./useListing";

/** A message that was found, and where in it. */
export interface Found {
  id: string;
  message: MessageSummary;
  excerpt: Piece[];
}

/** What is found for `looked`, best first. */
export function useSearch(api: Api, looked: string, accountId: string | null) {
  const fetchPage = useCallback(
    async (cursor: string | null, signal: AbortSignal) => {
      const { results, nextCursor } = await api.search({ q: looked, accountId, cursor }, signal);
      const items = results.map(({ message, snippet }) => ({
        id: message.id,
        message,
        excerpt: snippet,
      }));
      return { items, nextCursor };
    },
    [api, looked, accountId],
  );
  return useListing<Found>(fetchPage);
}
