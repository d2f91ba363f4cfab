import { memo } from "react";
import type { Piece } from "../model";
import { fullTime, shortTime } from "../time";
import "./RowText.css";

interface Props {
  who: string;
  /** Messages, where the row is a conversation of several. */
  count?: number;
  unread: boolean;
  time: string;
  /** The present time in ms, against which the row says how old it is. */
  now: number;
  subject: string;
  attachments: boolean;
  /** Its beginning, or in pieces what was looked for. */
  snippet: string | Piece[];
}

/** The three lines of a row, of a conversation or of a message that was found. */
export const RowText = memo(function RowText(props: Props) {
  const { who, count = 1, unread, time, now, subject, attachments, snippet } = props;
  return (
    <>
      <span className="row-who">
        {unread && <span className="hidden">Unread. </span>}
        <bdi className="row-names">{who}</bdi>
        {count > 1 && (
          <span className="row-count">
            {count}
            <span className="hidden"> messages</span>
          </span>
        )}
      </span>
      <time className="row-time" dateTime={time} title={fullTime(time)}>
        {shortTime(time, now)}
      </time>
      <span className="row-about">
        <span className="row-subject" dir="auto">
          {subject}
        </span>
        {attachments && <AttachmentMark />}
      </span>
      <span className="row-snippet" dir="auto">
        {typeof snippet === "string" ? snippet : <Excerpt pieces={snippet} />}
      </span>
    </>
  );
});

function Excerpt({ pieces }: { pieces: Piece[] }) {
  // The pieces of one excerpt never change places.
  // oxlint-disable-next-line react/no-array-index-key
  return pieces.map(({ text, match }, n) => (match ? <mark key={n}>{text}</mark> : text));
}

function AttachmentMark() {
  return (
    <span className="row-clip">
      <span className="hidden">Has attachments.</span>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M13 7.2 8 12.2a3.2 3.2 0 0 1-4.6-4.6l5.4-5.3a2.1 2.1 0 0 1 3 3L6.6 10.5a1 1 0 0 1-1.5-1.5l4.6-4.5" />
      </svg>
    </span>
  );
}
