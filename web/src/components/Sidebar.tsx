import { useAccountRoom } from "postwire-react";
import { useNow } from "../hooks/useNow";
import type { Activities, Activity } from "../hooks/useSyncActivity";
import type { Account } from "../model";
import { isTroubled, stateWords } from "../words";
import "./Sidebar.css";

interface Props {
  accounts: Account[] | null;
  error: Error | null;
  chosenId: string | null;
  /** Whether it is unfolded on a screen too narrow to show it always. */
  shown: boolean;
  activities: Activities;
  onChoose: (id: string | null) => void;
  onSync: (id: string) => void;
  onPassword: (account: Account) => void;
  onAdd: () => void;
  onRetry: () => void;
}

export function Sidebar(props: Props) {
  const { accounts, chosenId, shown, activities, onChoose, onSync, onPassword, onAdd } = props;
  const unread = accounts?.reduce((sum, account) => sum + account.unread, 0) ?? 0;
  return (
    <nav id="accounts" className="sidebar" aria-label="Accounts" data-shown={shown}>
      <button
        type="button"
        className="choice"
        aria-current={chosenId === null}
        onClick={() => onChoose(null)}
      >
        <span className="address">All accounts</span>
        <Unread count={unread} />
      </button>
      <AccountsTrouble {...props} />
      <ul className="accounts">
        {accounts?.map((account) => (
          <AccountItem
            key={account.id}
            account={account}
            chosen={account.id === chosenId}
            activity={activities[account.id] ?? null}
            onChoose={() => onChoose(account.id)}
            onSync={() => onSync(account.id)}
            onPassword={() => onPassword(account)}
          />
        ))}
      </ul>
      <button type="button" className="add-account" onClick={onAdd}>
        Add account
      </button>
    </nav>
  );
}

function AccountsTrouble({ accounts, error, onRetry }: Props) {
  if (error) {
    return (
      <p className="notice trouble" role="alert">
        {error.message}{" "}
        <button type="button" className="inline" onClick={onRetry}>
          Try again
        </button>
      </p>
    );
  }
  return accounts ? null : <p className="muted padded">Loading accounts…</p>;
}

interface ItemProps {
  account: Account;
  chosen: boolean;
  activity: Activity | null;
  onChoose: () => void;
  onSync: () => void;
  onPassword: () => void;
}

function AccountItem(props: ItemProps) {
  const { account, chosen, activity, onChoose, onSync, onPassword } = props;
  const now = useNow();
  useAccountRoom(account.id);
  const words = activity?.words ?? stateWords(account, now);
  const troubled = activity?.failed ?? isTroubled(account);
  return (
    <li
      className="account"
      data-testid="account"
      data-account-id={account.id}
      data-state={account.state}
      data-chosen={chosen}
    >
      <button
        type="button"
        className="choice"
        aria-current={chosen}
        title={account.address}
        onClick={onChoose}
      >
        <span className="address">{account.address}</span>
        <Unread count={account.unread} />
      </button>
      <div className="account-state">
        <span className={troubled ? "words trouble-text" : "words"}>{words}</span>
        <button
          type="button"
          className="inline"
          disabled={activity?.busy ?? false}
          aria-label={`Sync now: ${account.address}`}
          onClick={onSync}
        >
          Sync now
        </button>
        {account.state === "auth_failed" && (
          <button
            type="button"
            className="inline"
            aria-label={`New password for ${account.address}`}
            onClick={onPassword}
          >
            New password
          </button>
        )}
      </div>
    </li>
  );
}

function Unread({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <span className="count">
      {count.toLocaleString()}
      <span className="hidden"> unread</span>
    </span>
  );
}
