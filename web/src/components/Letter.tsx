import type { Api } from "../api";
import { useMessage } from "../hooks/useMessage";
import type { Message, Person } from "../model";
import { fullTime } from "../time";
import { nameOf } from "../words";
import { Attachments } from "./Attachments";
import { MessageBody } from "./MessageBody";
import { LoadingLetter } from "./LoadingLetter";
import { Trouble } from "./Trouble";
import "./Letter.css";

/** A message fetched whole. */
export function WholeLetter({ api, id }: { api: Api; id: string }) {
  const { message, error, retry } = useMessage(api, id);
  if (error) return <Trouble what="The message could not be opened." {...{ error, retry }} />;
  return message ? <Letter api={api} message={message} /> : <LoadingLetter />;
}

export function Letter({ api, message }: { api: Api; message: Message }) {
  const date = message.date ?? message.internalDate;
  return (
    <>
      <header className="letter-head">
        <People people={message.from} />
        <details className="letter-about">
          <summary>
            <span className="letter-to">To {namesOf(message)}</span>{" "}
            <time dateTime={date}>{fullTime(date)}</time>
          </summary>
          <dl>
            <Line label="From" people={message.from} />
            <Line label="Reply to" people={message.replyTo} />
            <Line label="To" people={message.to} />
            <Line label="Cc" people={message.cc} />
            <Line label="Bcc" people={message.bcc} />
          </dl>
        </details>
        {message.problem && <p className="notice">{message.problem}</p>}
        <Attachments api={api} message={message} />
      </header>
      <MessageBody api={api} message={message} />
    </>
  );
}

/** Names of recipients that a line has room for. */
const NAMES = 4;

function namesOf({ to, cc }: Message): string {
  const names = [...to, ...cc].map(nameOf);
  const shown = names.slice(0, NAMES).join(", ") || "nobody";
  return names.length > NAMES ? `${shown} and ${names.length - NAMES} more` : shown;
}

function Line({ label, people }: { label: string; people: Person[] }) {
  if (people.length === 0) return null;
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        <People people={people} />
      </dd>
    </div>
  );
}

function People({ people }: { people: Person[] }) {
  return (
    <span className="people">
      {people.map((person, index) => (
        // The same person may be named twice, and nothing else tells the two apart.
        // oxlint-disable-next-line react/no-array-index-key
        <span className="person" key={index}>
          {person.name && <bdi className="person-name">{person.name}</bdi>}{" "}
          <bdi className={person.name ? "muted" : "person-name"}>{person.address}</bdi>
        </span>
      ))}
    </span>
  );
}
