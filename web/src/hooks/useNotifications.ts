import { type SyncEvent, useSocket } from "postwire-react";
import { useEffect, useEffectEvent } from "react";
import type { Api } from "../api";
import { countOf, onlyMessageOf } from "../arrived";
import type { MessageSummary } from "../model";
import { arrivalWords, nameOf, subjectOf } from "../words";
import { usePreferences } from "./usePreferences";

/** Events of one account that come this close together are told at once. */
const GATHER_MS = 1000;
const SHOWN_MS = 15_000;

/** Tells of new mail on the desktop while the page is not in view; where that was asked for. */
export function useNotifications(api: Api, onOpen: (message: MessageSummary | null) => void): void {
  const { on, off } = useSocket();
  const { notify } = usePreferences();
  const open = useEffectEvent(onOpen);

  useEffect(() => {
    if (!notify || !mayNotify()) return;
    const gathered = new Map<string, SyncEvent[]>();
    const timers = new Set<ReturnType<typeof setTimeout>>();
    const tell = async (accountId: string) => {
      const events = gathered.get(accountId) ?? [];
      gathered.delete(accountId);
      if (document.visibilityState === "visible" && document.hasFocus()) return;
      show(events, await onlyMessageOf(api, events), open);
    };
    const arrived = (event: SyncEvent) => {
      const waiting = gathered.get(event.accountId);
      if (waiting) return void waiting.push(event);
      gathered.set(event.accountId, [event]);
      const timer = setTimeout(() => {
        timers.delete(timer);
        void tell(event.accountId);
      }, GATHER_MS);
      timers.add(timer);
    };
    on("email:new", arrived);
    return () => {
      off("email:new", arrived);
      for (const timer of timers) clearTimeout(timer);
    };
  }, [api, notify, on, off]);
}

export function mayNotify(): boolean {
  return "Notification" in window && Notification.permission === "granted";
}

function show(
  events: SyncEvent[],
  message: MessageSummary | null,
  open: (message: MessageSummary | null) => void,
): void {
  const newest = events.at(-1);
  if (!newest) return;
  const [title, body] = message
    ? [nameOf(message.from[0]) || "New mail", subjectOf(message)]
    : [arrivalWords(countOf(events)), newest.emailAddress];
  const notification = new Notification(title, { body, tag: tagOf(newest), icon: "/favicon.svg" });
  const timer = setTimeout(() => notification.close(), SHOWN_MS);
  notification.addEventListener("click", () => {
    clearTimeout(timer);
    notification.close();
    window.focus();
    open(message);
  });
}

/** The same in each tab of this browser, so that what two of them tell is shown once. */
function tagOf({ accountId, epoch, revision }: SyncEvent): string {
  return `postwire/${accountId}/${epoch}/${revision}`;
}
