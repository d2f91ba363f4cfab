import { useEffect, useRef, useState } from "react";
import type { Api } from "../api";

interface Progress {
  received: number;
  total: number | null;
}

/** Fetches one attachment, and says how far that is; null while nothing is fetched. */
export function useBytes(api: Api, id: string, n: number) {
  const [progress, setProgress] = useState<Progress | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const leaving = useRef<AbortController | null>(null);
  useEffect(() => () => leaving.current?.abort(), []);

  /** Resolves with null where it failed, which `error` says, or is not wanted any more. */
  const get = async (): Promise<Blob | null> => {
    const mine = new AbortController();
    leaving.current = mine;
    setError(null);
    setProgress({ received: 0, total: null });
    const told = (received: number, total: number | null) => setProgress({ received, total });
    try {
      const bytes = await api.attachment(id, n, mine.signal, told);
      return mine.signal.aborted ? null : bytes;
    } catch (failure) {
      if (!mine.signal.aborted) setError(failure as Error);
      return null;
    } finally {
      if (!mine.signal.aborted) setProgress(null);
    }
  };
  return { progress, error, get };
}
