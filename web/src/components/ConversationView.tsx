import { useState } from "react";
import type { Api } from "../api";
import { useConversation } from "../hooks/useConversation";
import { useNow } from "../hooks/useNow";
import type { MessageSummary } from "../model";
import { fullTime, shortTime } from "../time";
import { nameOf, subjectOf } from "../words";
import { WholeLetter } from "./Letter";
import { LoadingLetter } from "./LoadingLetter";
import { Trouble } from "./Trouble";
import "./ConversationView.css";

interface Props {
  api: Api;
  id: string;
  /** The message to unfold; the newest where null. */
  unfoldId: string | null;
}

/** Messages fetched at first where one of them was asked for, which may be an early one. */
const TO_FIND = 200;

/** The messages of a conversation, oldest first: the newest is unfolded, the others are a line. */
export function ConversationView({ api, id, unfoldId }: Props) {
  const found = useConversation(api, id, unfoldId ? TO_FIND : undefined);
  const { loaded, error, fetching, loadEarlier, retry } = found;
  const earlier = loaded ? loaded.total - loaded.messages.length : 0;
  return (
    <>
      {error && (
        <Trouble
          what={loaded ? "This is not up to date." : "The conversation could not be opened."}
          error={error}
          retry={retry}
        />
      )}
      {!loaded && !error && <LoadingLetter />}
      {loaded && (
        <h2 className="subject" dir="auto">
          {subjectOf(loaded)}
          {loaded.total > 1 && <span className="subject-count"> {loaded.total} messages</span>}
        </h2>
      )}
      {loaded?.cursor && (
        <button type="button" className="earlier" disabled={fetching} onClick={loadEarlier}>
          {fetching ? "Loading earlier messages…" : `Show ${earlier} earlier messages`}
        </button>
      )}
      {loaded?.messages.map((message, index) => (
        <Folding
          key={message.id}
          api={api}
          message={message}
          alone={loaded.messages.length === 1}
          unfolded={unfoldId ? message.id === unfoldId : index === loaded.messages.length - 1}
        />
      ))}
    </>
  );
}

interface FoldingProps {
  api: Api;
  message: MessageSummary;
  /** Whether it is the only one, which is never folded. */
  alone: boolean;
  /** How it is at first. */
  unfolded: boolean;
}

function Folding({ api, message, alone, unfolded }: FoldingProps) {
  const [open, setOpen] = useState(unfolded);
  const now = useNow();
  const { id, from, snippet, unread, internalDate } = message;
  const shown = open || alone;
  return (
    <article className="letter" data-testid="letter" data-open={shown}>
      {!alone && (
        <button
          type="button"
          className="fold"
          aria-expanded={shown}
          data-unread={unread}
          onClick={() => setOpen(!open)}
        >
          {unread && <span className="hidden">Unread. </span>}
          <bdi className="fold-who">{nameOf(from[0]) || "Unknown sender"}</bdi>
          <span className="fold-snippet" dir="auto">
            {shown ? from[0]?.name && from[0].address : snippet}
          </span>
          <time className="fold-time" dateTime={internalDate} title={fullTime(internalDate)}>
            {shortTime(internalDate, now)}
          </time>
        </button>
      )}
      {shown && <WholeLetter api={api} id={id} />}
    </article>
  );
}
