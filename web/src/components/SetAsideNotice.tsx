import { useState } from "react";
import type { Api } from "../api";
import { useNow } from "../hooks/useNow";
import { useSetAside } from "../hooks/useSetAside";
import type { Account } from "../model";
import { until } from "../time";
import "./SetAsideNotice.css";

/** Says which messages of the account could not be read, and tries them again. */
export function SetAsideNotice({ api, account }: { api: Api; account: Account }) {
  const { aside, retry } = useSetAside(api, account.id);
  const [asked, setAsked] = useState<string | null>(null);
  const now = useNow();
  if (aside.length === 0) return null;

  const again = () => {
    setAsked("Trying again…");
    retry().then(
      () => setAsked("They are tried again now."),
      (error: Error) => setAsked(error.message),
    );
  };
  const one = aside.length === 1;
  return (
    <details className="notice set-aside" data-testid="set-aside">
      <summary>
        {one ? "1 message" : `${aside.length} messages`} could not be read and{" "}
        {one ? "was" : "were"} set aside
      </summary>
      <ul>
        {aside.map(({ mailboxId, mailbox, uid, error, retryAt }) => (
          <li key={`${mailboxId}/${uid}`}>
            In <bdi>{mailbox}</bdi>, number {uid}: {error} Tried again {until(retryAt, now)}.
          </li>
        ))}
      </ul>
      <button type="button" className="inline" onClick={again}>
        Try again now
      </button>{" "}
      <output>{asked}</output>
    </details>
  );
}
