import { useCallback } from "react";
import type { Api } from "../api";
import type { Conversation } from "../model";
import { useListing } from "./useListing";
import { useMailChanges } from "./MailChanges";

const PAGE = 100;

/** The conversations of one account or of all, in one mailbox or in any; kept up to date. */
export function useConversations(api: Api, accountId: string | null, mailbox: string | null) {
  const fetchPage = useCallback(
    async (cursor: string | null, signal: AbortSignal) => {
      const query = { accountId, mailbox, cursor, limit: PAGE };
      const { conversations, nextCursor } = await api.conversations(query, signal);
      return { items: conversations, nextCursor };
    },
    [api, accountId, mailbox],
  );
  const found = useListing<Conversation>(fetchPage);
  useMailChanges(found.listing.refresh);
  return found;
}
