import { useAccountRoom } from "postwire-react";
import { useEffectEvent, useLayoutEffect, useRef, useState } from "react";
import type { Api } from "../api";
import { useNow } from "../hooks/useNow";
import type { Activities, Activity } from "../hooks/useSyncActivity";
import type { Account } from "../model";
import { type Remedy, standingOf } from "../standing";
import { Menu } from "./Menu";
import { PasswordDialog } from "./PasswordDialog";
import { RemoveDialog } from "./RemoveDialog";
import "./Sidebar.css";

interface Props {
  api: Api;
  accounts: Account[] | null;
  error: Error | null;
  chosenId: string | null;
  /** Whether it is unfolded on a screen too narrow to show it always. */
  shown: boolean;
  activities: Activities;
  onChoose: (id: string | null) => void;
  onSync: (id: string) => void;
  onAdd: () => void;
  /** Something of an account was changed here. */
  onChanged: () => void;
}

/** What is asked about an account. */
type Asking = { what: "password" | "remove"; account: Account };

export function Sidebar(props: Props) {
  const { api, accounts, chosenId, shown, activities, onChoose, onSync, onAdd, onChanged } = props;
  const [asking, setAsking] = useState<Asking | null>(null);
  const all = useRef<HTMLButtonElement>(null);
  const unread = accounts?.reduce((sum, account) => sum + account.unread, 0) ?? 0;
  const done = () => {
    setAsking(null);
    onChanged();
  };
  const removed = () => {
    done();
    onChoose(null);
  };
  return (
    <nav id="accounts" className="sidebar" aria-label="Accounts" data-shown={shown}>
      <button
        ref={all}
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
            api={api}
            account={account}
            chosen={account.id === chosenId}
            activity={activities[account.id] ?? null}
            onChoose={() => onChoose(account.id)}
            onSync={() => onSync(account.id)}
            onAsk={(what) => setAsking({ what, account })}
            onChanged={onChanged}
            onGone={() => all.current?.focus()}
          />
        ))}
      </ul>
      <button type="button" className="add-account" onClick={onAdd}>
        Add account
      </button>
      {asking?.what === "password" && (
        <PasswordDialog
          api={api}
          account={asking.account}
          onChanged={done}
          onClose={() => setAsking(null)}
        />
      )}
      {asking?.what === "remove" && (
        <RemoveDialog
          api={api}
          account={asking.account}
          onRemoved={removed}
          onClose={() => setAsking(null)}
        />
      )}
    </nav>
  );
}

function AccountsTrouble({ accounts, error, onChanged }: Props) {
  if (error) {
    return (
      <p className="notice trouble" role="alert">
        {error.message}{" "}
        <button type="button" className="inline" onClick={onChanged}>
          Try again
        </button>
      </p>
    );
  }
  return accounts ? null : <p className="muted padded">Loading accounts…</p>;
}

interface ItemProps {
  api: Api;
  account: Account;
  chosen: boolean;
  activity: Activity | null;
  onChoose: () => void;
  onSync: () => void;
  onAsk: (what: Asking["what"]) => void;
  onChanged: () => void;
  /** The account goes, and what had the focus goes with it. */
  onGone: () => void;
}

function AccountItem(props: ItemProps) {
  const { api, account, chosen, activity, onChoose, onSync, onAsk, onChanged, onGone } = props;
  const now = useNow();
  useAccountRoom(account.id);
  const [problem, setProblem] = useState<string | null>(null);
  const item = useRef<HTMLLIElement>(null);
  const gone = useEffectEvent(onGone);
  useLayoutEffect(() => {
    const element = item.current;
    return () => {
      if (element?.contains(document.activeElement)) gone();
    };
  }, []);
  const standing = standingOf(account, now);
  const shown = account.state === "active" || account.state === "connecting" ? activity : null;
  const words = problem ?? shown?.words ?? standing.words;
  const troubled = problem !== null || (shown?.failed ?? standing.troubled);

  const change = async (work: (id: string) => Promise<unknown>) => {
    try {
      await work(account.id);
      setProblem(null);
    } catch (error) {
      setProblem((error as Error).message);
    }
    onChanged();
  };
  const pause = () => void change(api.pauseAccount);
  const resume = () => void change(api.resumeAccount);
  const mend = { password: () => onAsk("password"), resume, retry: resume };

  return (
    <li
      ref={item}
      className="account"
      data-testid="account"
      data-account-id={account.id}
      data-state={account.state}
      data-chosen={chosen}
    >
      <div className="account-head">
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
        <Menu label={`More for ${account.address}`} face={<Dots />}>
          {account.auth === "password" && (
            <button type="button" onClick={() => onAsk("password")}>
              New password…
            </button>
          )}
          {account.state === "paused" ? (
            <button type="button" onClick={resume}>
              Resume
            </button>
          ) : (
            <button type="button" onClick={pause}>
              Pause
            </button>
          )}
          <button type="button" className="dangerous" onClick={() => onAsk("remove")}>
            Remove…
          </button>
        </Menu>
      </div>
      <div className="account-state">
        <span
          className={troubled ? "words trouble-text" : "words"}
          data-testid="account-words"
          // Each step of a long sync would be read aloud; who wants to know asks the progress bar.
          aria-live={shown?.progress ? "off" : "polite"}
        >
          {words}
        </span>
        {shown?.progress && (
          <progress
            aria-label={`Fetching the mail of ${account.address}`}
            value={shown.progress.done}
            max={shown.progress.total}
          />
        )}
        {standing.remedy ? (
          <button
            type="button"
            className="inline"
            aria-label={`${REMEDIES[standing.remedy]}: ${account.address}`}
            onClick={mend[standing.remedy]}
          >
            {REMEDIES[standing.remedy]}
          </button>
        ) : (
          <button
            type="button"
            className="inline"
            aria-disabled={activity?.busy ?? false}
            aria-label={`Sync now: ${account.address}`}
            onClick={() => activity?.busy || onSync()}
          >
            Sync now
          </button>
        )}
      </div>
    </li>
  );
}

const REMEDIES: Record<Remedy, string> = {
  password: "New password",
  resume: "Resume",
  retry: "Try now",
};

function Unread({ count }: { count: number }) {
  if (count === 0) return null;
  return (
    <span className="count">
      {count.toLocaleString()}
      <span className="hidden"> unread</span>
    </span>
  );
}

function Dots() {
  return (
    <svg viewBox="0 0 20 20" aria-hidden="true">
      <circle cx="4" cy="10" r="1.6" />
      <circle cx="10" cy="10" r="1.6" />
      <circle cx="16" cy="10" r="1.6" />
    </svg>
  );
}
