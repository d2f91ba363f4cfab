import { useSocket } from "postwire-react";
import { useMemo } from "react";
import type { Api } from "../api";
import { useConversations } from "../hooks/useConversations";
import { useNow } from "../hooks/useNow";
import { ANY_MAILBOX } from "../hooks/useRoute";
import type { ListingState } from "../listing";
import type { Account } from "../model";
import { participantsOf, subjectOf } from "../words";
import { ListTrouble } from "./ListTrouble";
import { MailboxChoice } from "./MailboxChoice";
import { RowText } from "./RowText";
import { SetAsideNotice } from "./SetAsideNotice";
import { VirtualList } from "./VirtualList";
import "./ConversationList.css";

interface Props {
  api: Api;
  accounts: Account[] | null;
  /** The one account on show; null for all of them. */
  accountId: string | null;
  /** As the route has it. */
  mailbox: string | null;
  openId: string | null;
  onOpen: (id: string) => void;
  onMailbox: (mailbox: string | null) => void;
  onAdd: () => void;
}

export function ConversationList(props: Props) {
  const { api, accounts, accountId, mailbox, openId, onOpen, onMailbox, onAdd } = props;
  const now = useNow();
  const { status } = useSocket();
  const name = mailbox === ANY_MAILBOX ? null : (mailbox ?? "INBOX");
  const { listing, state } = useConversations(api, accountId, name);
  const own = useMemo(() => new Set(accounts?.map(({ address }) => address)), [accounts]);
  const account = accounts?.find(({ id }) => id === accountId);
  return (
    <section className="list" aria-label="Messages">
      <div className="list-head">
        <h2 className="list-title">{account?.address ?? "All accounts"}</h2>
        <MailboxChoice api={api} accountId={accountId} mailbox={mailbox} onChoose={onMailbox} />
      </div>
      <ListTrouble
        what="The list could not be brought up to date."
        stale={status === "stale"}
        of={{ listing, state }}
      />
      {account && <SetAsideNotice key={account.id} api={api} account={account} />}
      {isEmpty(state) ? (
        <Empty accounts={accounts} account={account} mailbox={mailbox} {...{ onAdd, onMailbox }} />
      ) : (
        <VirtualList
          key={`${accountId} ${mailbox}`}
          listing={listing}
          state={state}
          label="Conversations"
          openId={openId}
          onOpen={({ id }) => onOpen(id)}
          isUnread={({ unread }) => unread > 0}
        >
          {(conversation) => (
            <RowText
              who={participantsOf(conversation, own)}
              count={conversation.messages}
              unread={conversation.unread > 0}
              time={conversation.lastMessageAt}
              now={now}
              subject={subjectOf(conversation)}
              attachments={conversation.hasAttachments}
              snippet={conversation.snippet}
            />
          )}
        </VirtualList>
      )}
    </section>
  );
}

function isEmpty({ loaded, count, ended }: ListingState): boolean {
  return loaded && ended && count === 0;
}

type EmptyProps = Pick<Props, "accounts" | "mailbox" | "onAdd" | "onMailbox"> & {
  account: Account | undefined;
};

function Empty({ accounts, account, mailbox, onAdd, onMailbox }: EmptyProps) {
  if (accounts?.length === 0) {
    return (
      <div className="empty">
        <p className="empty-title">No account yet</p>
        <p>Add a mail account, and its messages appear here as they arrive.</p>
        <button type="button" className="primary" onClick={onAdd}>
          Add account
        </button>
      </div>
    );
  }
  return (
    <div className="empty">
      <p className="empty-title">Nothing here</p>
      <p>{emptyReason(accounts, account)}</p>
      {mailbox !== ANY_MAILBOX && (
        <button type="button" className="inline" onClick={() => onMailbox(ANY_MAILBOX)}>
          Show all mail
        </button>
      )}
    </div>
  );
}

function emptyReason(accounts: Account[] | null, account: Account | undefined): string {
  const concerned = account ? [account] : (accounts ?? []);
  if (concerned.some(({ state }) => state === "connecting")) {
    return "The first sync is under way. Messages appear here as they are fetched.";
  }
  return "New mail appears here by itself.";
}
