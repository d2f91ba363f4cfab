import { useEffect, useState } from "react";
import type { Api } from "../api";
import type { Mailbox } from "../model";

const NONE: Mailbox[] = [];

/** The mailboxes of an account; none while they are not known, and for all accounts together. */
export function useMailboxes(api: Api, accountId: string | null): Mailbox[] {
  const [known, setKnown] = useState<{ accountId: string; mailboxes: Mailbox[] } | null>(null);
  useEffect(() => {
    if (accountId === null) return;
    let over = false;
    api.mailboxes(accountId).then(
      (mailboxes) => !over && setKnown({ accountId, mailboxes }),
      // The inbox and all mail can be chosen without them.
      () => undefined,
    );
    return () => void (over = true);
  }, [api, accountId]);
  return known?.accountId === accountId ? known.mailboxes : NONE;
}
