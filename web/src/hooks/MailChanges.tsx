import { useChanges } from "postwire-react";
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";
import { ApiError } from "../api";
import type { Account } from "../model";

type Refetch = () => Promise<void>;

const Shown = createContext<Set<Refetch> | null>(null);
const NONE: Account[] = [];

interface Props {
  /** Those whose mail is shown; null while they are not known. */
  accounts: Account[] | null;
  children: ReactNode;
}

/** Follows the accounts, and has all that is shown below it fetched anew when mail changes. */
export function MailChanges({ accounts, children }: Props) {
  const [shown] = useState(() => new Set<Refetch>());
  useChanges(accounts ?? NONE, async () => {
    await Promise.all([...shown].map((refetch) => refetch().catch(unlessRefused)));
  });
  return <Shown value={shown}>{children}</Shown>;
}

/** Has `refetch` run whenever mail has changed; what it rejects with is tried again. */
export function useMailChanges(refetch: Refetch): void {
  const shown = useContext(Shown);
  useEffect(() => {
    shown?.add(refetch);
    return () => void shown?.delete(refetch);
  }, [shown, refetch]);
}

/** What is gone, or was never understood, does not come by asking again. */
function unlessRefused(error: unknown): void {
  if (!(error instanceof ApiError) || error.status < 400 || error.status >= 500) throw error;
}
