import { useEffect, useRef, type ReactNode } from "react";
import type { Api } from "../api";
import { useKeys } from "../hooks/useKeys";
import { useMessage } from "../hooks/useMessage";
import { subjectOf } from "../words";
import { ConversationView } from "./ConversationView";
import { Letter } from "./Letter";
import { LoadingLetter } from "./LoadingLetter";
import { Trouble } from "./Trouble";
import "./Reader.css";

interface Props {
  api: Api;
  conversationId: string | null;
  /** The message to unfold; without a conversation, the one to find it by. */
  messageId: string | null;
  onClose: () => void;
}

/** What is open, beside the list or in its place. */
export function Reader({ api, conversationId, messageId, onClose }: Props) {
  const openId = conversationId ?? messageId;
  if (openId === null) {
    return (
      <section className="view" aria-label="Message">
        <p className="nothing-open">Choose a conversation to read it here.</p>
      </section>
    );
  }
  return (
    <Pane key={openId} onClose={onClose}>
      {conversationId ? (
        <ConversationView api={api} id={conversationId} unfoldId={messageId} />
      ) : (
        <ByMessage api={api} id={openId} />
      )}
    </Pane>
  );
}

function Pane({ onClose, children }: { onClose: () => void; children: ReactNode }) {
  const pane = useRef<HTMLElement>(null);
  // The pane takes the focus, so that a keyboard goes on from the message and not from the list.
  useEffect(() => pane.current?.focus({ preventScroll: true }), []);
  useKeys({ u: onClose, Escape: onClose });
  return (
    <section
      ref={pane}
      className="view"
      aria-label="Conversation"
      tabIndex={-1}
      data-testid="message-view"
    >
      <button type="button" className="quiet back" onClick={onClose}>
        <span aria-hidden="true">←</span> Back to the list
      </button>
      {children}
    </section>
  );
}

/** The conversation of a message; the message alone where it is in none yet. */
function ByMessage({ api, id }: { api: Api; id: string }) {
  const { message, error, retry } = useMessage(api, id);
  if (error) return <Trouble what="The message could not be opened." {...{ error, retry }} />;
  if (!message) return <LoadingLetter />;
  const { conversationId } = message;
  if (conversationId) return <ConversationView api={api} id={conversationId} unfoldId={id} />;
  return (
    <>
      <h2 className="subject" dir="auto">
        {subjectOf(message)}
      </h2>
      <article className="letter">
        <Letter api={api} message={message} />
      </article>
    </>
  );
}
