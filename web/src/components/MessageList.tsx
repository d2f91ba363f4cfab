import { useEffect, useRef, type KeyboardEvent } from "react";
import type { useMessages } from "../hooks/useMessages";
import { useNow } from "../hooks/useNow";
import type { Account } from "../model";
import { MessageRow } from "./MessageRow";
import "./MessageList.css";

type Feed = ReturnType<typeof useMessages>;

interface Props {
  feed: Feed;
  accounts: Account[] | null;
  /** The one account on show; undefined for all of them. */
  account: Account | undefined;
  openId: string | null;
  onOpen: (id: string) => void;
  onAdd: () => void;
}

export function MessageList({ feed, accounts, account, openId, onOpen, onAdd }: Props) {
  const now = useNow();
  const messages = feed.page?.messages ?? [];
  return (
    <section className="list" aria-label="Messages" aria-busy={!feed.page && !feed.error}>
      <h2 className="list-title">{account?.address ?? "All mail"}</h2>
      <FeedTrouble feed={feed} />
      {!feed.page && !feed.error && <p className="muted padded">Loading messages…</p>}
      {feed.page && messages.length === 0 && (
        <Empty accounts={accounts} account={account} onAdd={onAdd} />
      )}
      {/* Arrow keys are a short cut only; every row is a button of its own. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <ul className="rows" onKeyDown={moveFocus}>
        {messages.map((message) => (
          <MessageRow
            key={message.id}
            message={message}
            open={message.id === openId}
            now={now}
            onOpen={onOpen}
          />
        ))}
      </ul>
      <Older feed={feed} />
    </section>
  );
}

function FeedTrouble({ feed }: { feed: Feed }) {
  if (!feed.error) return null;
  return (
    <p className="notice trouble" role="alert">
      The list could not be brought up to date. {feed.error.message}{" "}
      <button type="button" className="inline" onClick={feed.retry}>
        Try again
      </button>
    </p>
  );
}

function Empty({ accounts, account, onAdd }: Pick<Props, "accounts" | "account" | "onAdd">) {
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
      <p className="empty-title">No messages</p>
      <p>{emptyReason(accounts, account)}</p>
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

function Older({ feed }: { feed: Feed }) {
  return feed.page?.nextCursor ? <OlderButton feed={feed} /> : null;
}

/** Loads the next page when it comes near the screen; after a failure only on a click. */
function OlderButton({ feed }: { feed: Feed }) {
  const button = useRef<HTMLButtonElement>(null);
  const { loadOlder, olderError, loadingOlder } = feed;

  useEffect(() => {
    if (!button.current || olderError || loadingOlder) return;
    const watcher = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) void loadOlder();
      },
      { rootMargin: "600px" },
    );
    watcher.observe(button.current);
    return () => watcher.disconnect();
  }, [loadOlder, olderError, loadingOlder]);

  return (
    <div className="older">
      {olderError && <p className="trouble-text">{olderError.message}</p>}
      <button ref={button} type="button" disabled={loadingOlder} onClick={() => void loadOlder()}>
        {loadingOlder ? "Loading older messages…" : "Load older"}
      </button>
    </div>
  );
}

function moveFocus(event: KeyboardEvent<HTMLUListElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>(".row")];
  const next = rows[rows.indexOf(document.activeElement as HTMLElement) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
