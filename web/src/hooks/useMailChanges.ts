import { useEffect } from "react";
import { coalesce } from "../coalesce";
import { useSocket } from "./useSocket";

/** Least milliseconds between two runs, so that a burst of events is not a burst of calls. */
const GAP_MS = 300;

/** Runs `refetch` whenever mail may have changed, and after each time nothing could be heard. */
export function useMailChanges(refetch: () => Promise<void>): void {
  const { on, off, onCatchUp } = useSocket();
  useEffect(() => {
    const again = coalesce(refetch, GAP_MS);
    const changed = () => void again().catch(() => undefined);
    const stop = onCatchUp(again);
    on("email:synced", changed);
    on("email:new", changed);
    return () => {
      stop();
      off("email:synced", changed);
      off("email:new", changed);
    };
  }, [refetch, on, off, onCatchUp]);
}
