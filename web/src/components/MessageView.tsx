import { useEffect, useRef } from "react";
import type { Api } from "../api";
import { useMessage } from "../hooks/useMessage";
import type { Message, Person } from "../model";
import { fullTime } from "../time";
import { subjectOf } from "../words";
import { Attachments } from "./Attachments";
import { MessageBody } from "./MessageBody";
import "./MessageView.css";

interface Props {
  api: Api;
  id: string | null;
  onClose: () => void;
}

export function MessageView({ api, id, onClose }: Props) {
  if (id === null) {
    return (
      <section className="view" aria-label="Message">
        <p className="nothing-open">Choose a message to read it here.</p>
      </section>
    );
  }
  return <OpenMessage key={id} api={api} id={id} onClose={onClose} />;
}

function OpenMessage({ api, id, onClose }: Props & { id: string }) {
  const { message, error, retry } = useMessage(api, id);
  const pane = useRef<HTMLElement>(null);
  // The pane takes the focus, so that a keyboard goes on from the message and not from the list.
  useEffect(() => pane.current?.focus({ preventScroll: true }), []);

  return (
    <section
      ref={pane}
      className="view"
      aria-label="Message"
      tabIndex={-1}
      data-testid="message-view"
    >
      <button type="button" className="quiet back" onClick={onClose}>
        <span aria-hidden="true">←</span> Messages
      </button>
      {error && (
        <p className="notice trouble" role="alert">
          The message could not be opened. {error.message}{" "}
          <button type="button" className="inline" onClick={retry}>
            Try again
          </button>
        </p>
      )}
      {!message && !error && <p className="muted padded">Loading the message…</p>}
      {message && <Letter api={api} message={message} />}
    </section>
  );
}

function Letter({ api, message }: { api: Api; message: Message }) {
  const date = message.date ?? message.internalDate;
  return (
    <article className="letter">
      <header className="letter-head">
        <h2 dir="auto">{subjectOf(message)}</h2>
        <dl>
          <People label="From" people={message.from} />
          <People label="To" people={message.to} />
          <People label="Cc" people={message.cc} />
          <People label="Bcc" people={message.bcc} />
          <div>
            <dt>Date</dt>
            <dd>
              <time dateTime={date}>{fullTime(date)}</time>
            </dd>
          </div>
        </dl>
        <Attachments api={api} message={message} />
        {message.problem && <p className="notice">{message.problem}</p>}
      </header>
      <MessageBody api={api} message={message} />
    </article>
  );
}

function People({ label, people }: { label: string; people: Person[] }) {
  if (people.length === 0) return null;
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        {people.map((person, index) => (
          // The same person may be named twice, and nothing else tells the two apart.
          // oxlint-disable-next-line react/no-array-index-key
          <span className="person" key={index}>
            {person.name && <bdi>{person.name}</bdi>}{" "}
            <bdi className={person.name ? "muted" : ""}>{person.address}</bdi>
          </span>
        ))}
      </dd>
    </div>
  );
}
