import { memo } from "react";
import type { MessageSummary, Piece } from "../model";
import { fullTime, shortTime } from "../time";
import { correspondent, subjectOf } from "../words";
import "./MessageRow.css";

interface Props {
  message: MessageSummary;
  open: boolean;
  /** The present time in ms, against which the row says how old it is. */
  now: number;
  /** Shown in place of the beginning, with what was looked for marked. */
  excerpt?: Piece[];
  onOpen: (id: string) => void;
}

export const MessageRow = memo(function MessageRow(props: Props) {
  const { message, open, now, excerpt, onOpen } = props;
  const { id, unread, internalDate } = message;
  return (
    <li data-testid="message-row" data-message-id={id} data-unread={unread}>
      <button type="button" className="row" aria-current={open} onClick={() => onOpen(id)}>
        {unread && <span className="hidden">Unread. </span>}
        <span className="row-who" dir="auto">
          {correspondent(message)}
        </span>
        <time className="row-time" dateTime={internalDate} title={fullTime(internalDate)}>
          {shortTime(internalDate, now)}
        </time>
        <span className="row-about">
          <span className="row-subject" dir="auto">
            {subjectOf(message)}
          </span>
          {message.hasAttachments && <AttachmentMark />}
        </span>
        <span className="row-snippet" dir="auto">
          {excerpt ? <Excerpt pieces={excerpt} /> : message.snippet}
        </span>
      </button>
    </li>
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
