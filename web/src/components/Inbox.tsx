import { useEmailUpdates } from "postwire-react";
import { useEffect, useRef, useState } from "react";
import type { Api } from "../api";
import { MailChanges } from "../hooks/MailChanges";
import { useAccounts } from "../hooks/useAccounts";
import { useArrivals } from "../hooks/useArrivals";
import { useKeys } from "../hooks/useKeys";
import { useNotifications } from "../hooks/useNotifications";
import { useRoute } from "../hooks/useRoute";
import { useSyncActivity } from "../hooks/useSyncActivity";
import { useTabCount } from "../hooks/useTabCount";
import { AddAccountDialog } from "./AddAccountDialog";
import { ConversationList } from "./ConversationList";
import { Header } from "./Header";
import { HelpSheet } from "./HelpSheet";
import { Reader } from "./Reader";
import { SearchField } from "./SearchField";
import { SearchResults } from "./SearchResults";
import { Sidebar } from "./Sidebar";
import { Toast } from "./Toast";

/** The page: accounts, the list of one or all of them, and the open conversation. */
export function Inbox({ api }: { api: Api }) {
  const [route, go] = useRoute();
  const { accountId, mailbox, looked, conversationId, messageId } = route;
  const [adding, setAdding] = useState(false);
  const [accountsShown, setAccountsShown] = useState(false);
  const [helping, setHelping] = useState(false);
  const { accounts, error, refresh } = useAccounts(api);
  const { activities, syncNow } = useSyncActivity(api, refresh);
  const { newEmailCount, resetCount, status } = useEmailUpdates();
  const arrivals = useArrivals(api);
  useTabCount(newEmailCount);
  useNotifications(api, (message) => go({ messageId: message?.id ?? null }));

  const choose = (id: string | null) => {
    setAccountsShown(false);
    go({ accountId: id });
  };
  const list = { accountId, mailbox, looked };
  const shown = accounts?.filter(({ id }) => accountId === null || id === accountId) ?? null;
  const open = (conversationId ?? messageId) !== null;
  useFocusInList(open);
  const syncAll = () => {
    for (const { id } of shown ?? []) void syncNow(id);
  };
  useKeys({ s: syncAll, "?": () => setHelping(true) });
  const refetch = () => void refresh().catch(() => undefined);
  const added = (id: string) => {
    setAdding(false);
    choose(id);
    refetch();
  };

  return (
    <div className="page" data-open={open}>
      <Header
        status={status}
        newEmailCount={newEmailCount}
        onReset={resetCount}
        accountsShown={accountsShown}
        onAccounts={() => setAccountsShown(!accountsShown)}
      >
        <SearchField
          key={looked ?? ""}
          looked={looked ?? ""}
          onSearch={(sought) => go({ accountId, mailbox, looked: sought || null })}
        />
      </Header>
      <Sidebar
        api={api}
        accounts={accounts}
        error={error}
        chosenId={accountId}
        shown={accountsShown}
        activities={activities}
        onChoose={choose}
        onSync={(id) => void syncNow(id)}
        onAdd={() => setAdding(true)}
        onChanged={refetch}
      />
      <main className="panes">
        <MailChanges accounts={shown}>
          {looked ? (
            <SearchResults
              api={api}
              looked={looked}
              accountId={accountId}
              openId={messageId}
              onOpen={({ message }) =>
                go({ ...list, conversationId: message.conversationId, messageId: message.id })
              }
              onClear={() => go({ accountId, mailbox })}
            />
          ) : (
            <ConversationList
              api={api}
              accounts={accounts}
              accountId={accountId}
              mailbox={mailbox}
              openId={conversationId}
              onOpen={(id) => go({ ...list, conversationId: id })}
              onMailbox={(name) => go({ accountId, mailbox: name })}
              onAdd={() => setAdding(true)}
            />
          )}
          <Reader
            api={api}
            conversationId={conversationId}
            messageId={messageId}
            onClose={() => go(list)}
          />
        </MailChanges>
      </main>
      {adding && <AddAccountDialog api={api} onAdded={added} onClose={() => setAdding(false)} />}
      {helping && <HelpSheet onClose={() => setHelping(false)} />}
      <Toast toast={arrivals.toast} onDismiss={arrivals.dismiss} />
    </div>
  );
}

/** Whoever closes what is open goes on in the list. */
function useFocusInList(open: boolean): void {
  const was = useRef(open);
  useEffect(() => {
    if (was.current && !open) document.querySelector<HTMLElement>("[role=listbox]")?.focus();
    was.current = open;
  }, [open]);
}
