import { useCallback, useEffect, useRef, useState } from "react";
import type { Api } from "../api";
import type { SearchResult } from "../model";

interface Found {
  results: SearchResult[];
  /** Where the next page begins; null after the last. */
  cursor: string | null;
  error: Error | null;
  loading: boolean;
}

/** What is found for `looked`, page by page; for the life of one element. */
export function useSearch(api: Api, looked: string, accountId: string | null) {
  const [found, setFound] = useState<Found>({
    results: [],
    cursor: null,
    error: null,
    loading: true,
  });
  const leaving = useRef<AbortController | null>(null);

  const fetchPage = useCallback(
    (cursor: string | null, signal: AbortSignal) => {
      api.search({ q: looked, accountId, cursor }, signal).then(
        (page) => {
          if (signal.aborted) return;
          setFound(({ results }) => ({
            results: [...results, ...page.results],
            cursor: page.nextCursor,
            error: null,
            loading: false,
          }));
        },
        (error: Error) => {
          if (!signal.aborted) setFound((before) => ({ ...before, error, loading: false }));
        },
      );
    },
    [api, looked, accountId],
  );

  useEffect(() => {
    const controller = new AbortController();
    leaving.current = controller;
    fetchPage(null, controller.signal);
    return () => controller.abort();
  }, [fetchPage]);

  const load = () => {
    if (!leaving.current) return;
    setFound((before) => ({ ...before, loading: true }));
    fetchPage(found.cursor, leaving.current.signal);
  };
  const { results, error, loading, cursor } = found;
  return { results, error, loading, more: cursor !== null, load };
}
