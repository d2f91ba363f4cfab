import type { LinkStatus } from "postwire-react";
import type { ReactNode } from "react";
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
    </header>
  );
}

const MARKS: Record<LinkStatus, string> = {
  live: "Live",
  "catching-up": "Catching up…",
  stale: "Offline — reconnecting",
};

function LiveMark({ status }: { status: LinkStatus }) {
  return (
    <output className="live-mark" data-testid="live-mark" data-status={status}>
      {MARKS[status]}
    </output>
  );
}
