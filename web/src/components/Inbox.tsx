import { useEmailUpdates } from "postwire-react";
import { useState } from "react";
import type { Api } from "../api";
import { useAccounts } from "../hooks/useAccounts";
import { useArrivals } from "../hooks/useArrivals";
import { useMessages } from "../hooks/useMessages";
import { useNotifications } from "../hooks/useNotifications";
import { useRoute } from "../hooks/useRoute";
import { useSyncActivity } from "../hooks/useSyncActivity";
import { useTabCount } from "../hooks/useTabCount";
import { AddAccountDialog } from "./AddAccountDialog";
import { Header } from "./Header";
import { MessageList } from "./MessageList";
import { MessageView } from "./MessageView";
import { SearchField } from "./SearchField";
import { SearchResults } from "./SearchResults";
import { Sidebar } from "./Sidebar";
import { Toast } from "./Toast";

/** The page: accounts, the list of one or all of them, and the open message. */
export function Inbox({ api }: { api: Api }) {
  const [{ accountId, messageId }, go] = useRoute();
  const [looked, setLooked] = useState("");
  const [adding, setAdding] = useState(false);
  const [accountsShown, setAccountsShown] = useState(false);
  const { accounts, error, refresh } = useAccounts(api);
  const messages = useMessages(api, accounts, accountId);
  const { activities, syncNow } = useSyncActivity(api, refresh);
  const { newEmailCount, resetCount, status } = useEmailUpdates();
  const arrivals = useArrivals(api);
  useTabCount(newEmailCount);
  useNotifications(api, (message) => go({ accountId: null, messageId: message?.id ?? null }));

  const chosen = accounts?.find((account) => account.id === accountId);
  const choose = (id: string | null) => {
    setAccountsShown(false);
    go({ accountId: id, messageId: null });
  };
  const refetch = () => void refresh().catch(() => undefined);
  const added = (id: string) => {
    setAdding(false);
    choose(id);
    refetch();
  };

  return (
    <div className="page" data-open={messageId !== null}>
      <Header
        status={status}
        newEmailCount={newEmailCount}
        onReset={resetCount}
        accountsShown={accountsShown}
        onAccounts={() => setAccountsShown(!accountsShown)}
      >
        <SearchField onSearch={setLooked} />
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
        {looked ? (
          <SearchResults
            key={`${accountId} ${looked}`}
            api={api}
            looked={looked}
            accountId={accountId}
            openId={messageId}
            onOpen={(id) => go({ accountId, messageId: id })}
          />
        ) : (
          <MessageList
            feed={messages}
            accounts={accounts}
            account={chosen}
            openId={messageId}
            onOpen={(id) => go({ accountId, messageId: id })}
            onAdd={() => setAdding(true)}
          />
        )}
        <MessageView api={api} id={messageId} onClose={() => go({ accountId, messageId: null })} />
      </main>
      {adding && <AddAccountDialog api={api} onAdded={added} onClose={() => setAdding(false)} />}
      <Toast toast={arrivals.toast} onDismiss={arrivals.dismiss} />
    </div>
  );
}
