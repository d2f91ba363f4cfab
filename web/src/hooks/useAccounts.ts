import { coalesce, useSocket } from "postwire-react";
import { useEffect, useMemo, useState } from "react";
import type { Api } from "../api";
import type { Account } from "../model";

const REFRESH_GAP_MS = 500;
/** A sync that finds nothing tells nobody, so when it was is asked for. */
const LOOK_MS = 60_000;
const EVENTS = ["email:synced", "email:new", "account:state", "sync:failed"];

export interface Accounts {
  /** Null until they were fetched once. */
  accounts: Account[] | null;
  error: Error | null;
  refresh: () => Promise<void>;
}

/** The user's accounts, kept up to date. */
export function useAccounts(api: Api): Accounts {
  const { on, off, onCatchUp } = useSocket();
  const [accounts, setAccounts] = useState<Account[] | null>(null);
  const [error, setError] = useState<Error | null>(null);

  const refresh = useMemo(
    () =>
      coalesce(async () => {
        try {
          setAccounts(await api.accounts());
          setError(null);
        } catch (failure) {
          setError(failure as Error);
          throw failure;
        }
      }, REFRESH_GAP_MS),
    [api],
  );

  useEffect(() => {
    const again = () => void refresh().catch(() => undefined);
    const look = () => document.visibilityState === "visible" && again();
    again();
    const timer = setInterval(look, LOOK_MS);
    document.addEventListener("visibilitychange", look);
    const stop = onCatchUp(refresh);
    for (const event of EVENTS) on(event, again);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
      stop();
      for (const event of EVENTS) off(event, again);
    };
  }, [refresh, on, off, onCatchUp]);

  return { accounts, error, refresh };
}
