import { useSocket, type SyncEvent } from "postwire-react";
import { useCallback, useEffect, useState } from "react";
import type { Api } from "../api";
import { countOf, onlyMessageOf } from "../arrived";
import { arrivalWords, nameOf } from "../words";

const SHOWN_MS = 7000;
/** Events that come this close together are told in one toast. */
const GATHER_MS = 250;

interface Toast {
  words: string;
  /** Changes with each arrival, so that the same words are announced again. */
  key: number;
}

/** The toast for mail that has just come, or null; it goes by itself. */
export function useArrivals(api: Api): { toast: Toast | null; dismiss: () => void } {
  const { on, off } = useSocket();
  const [toast, setToast] = useState<Toast | null>(null);
  const dismiss = useCallback(() => setToast(null), []);

  useEffect(() => {
    let gathered: SyncEvent[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const tell = async () => {
      const events = gathered;
      gathered = [];
      timer = undefined;
      const words = await wordsFor(api, events);
      if (!over) setToast({ words, key: Date.now() });
    };
    const arrived = (event: SyncEvent) => {
      gathered.push(event);
      timer ??= setTimeout(() => void tell(), GATHER_MS);
    };
    on("email:new", arrived);
    return () => {
      over = true;
      clearTimeout(timer);
      off("email:new", arrived);
    };
  }, [api, on, off]);

  useEffect(() => {
    if (!toast) return;
    const timer = setTimeout(dismiss, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [toast, dismiss]);

  return { toast, dismiss };
}

async function wordsFor(api: Api, events: SyncEvent[]): Promise<string> {
  const message = await onlyMessageOf(api, events);
  return arrivalWords(countOf(events), nameOf(message?.from[0]) || undefined);
}
