import type { LinkStatus } from "postwire-react";
import { type ReactNode, useState } from "react";
import { clockTime } from "../time";
import { Settings } from "./Settings";
import "./Header.css";

interface Props {
  status: LinkStatus;
  newEmailCount: number;
  onReset: () => void;
  accountsShown: boolean;
  onAccounts: () => void;
  /** The search field. */
  children: ReactNode;
}

export function Header(props: Props) {
  const { status, newEmailCount, onReset, accountsShown, onAccounts, children } = props;
  return (
    <header className="header">
      <button
        type="button"
        className="quiet accounts-toggle"
        aria-expanded={accountsShown}
        aria-controls="accounts"
        onClick={onAccounts}
      >
        Accounts
      </button>
      <h1 className="brand">Postwire</h1>
      {children}
      <LiveMark status={status} />
      {newEmailCount > 0 && (
        <button
          type="button"
          className="new-badge"
          data-testid="new-badge"
          title="Clear the count"
          aria-label={`${newEmailCount} new, clear the count`}
          onClick={onReset}
        >
          {newEmailCount} new
        </button>
      )}
      <Settings />
    </header>
  );
}

/** What the page knows of the mail; the words are read aloud as they change. */
function LiveMark({ status }: { status: LinkStatus }) {
  return (
    <output className="live-mark" data-testid="live-mark" data-status={status}>
      {status === "live" && "Live"}
      {status === "catching-up" && "Catching up…"}
      {status === "stale" && <Offline />}
    </output>
  );
}

/** The connection is tried again all the time, so there is nothing to press. */
function Offline() {
  const [since] = useState(Date.now);
  return (
    <>
      <span>
        Offline<span className="live-since"> since {clockTime(since)}</span>
      </span>{" "}
      <span className="live-hint">New mail shows once the connection is back.</span>
    </>
  );
}
