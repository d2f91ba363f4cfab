import { useEffect, useRef, useState } from "react";
import type { Api } from "../api";
import type { Attachment, Message } from "../model";
import { saveAs } from "../save";
import { sizeWords } from "../words";

export function Attachments({ api, message }: { api: Api; message: Message }) {
  if (message.attachments.length === 0) return null;
  return (
    <ul className="attachments" aria-label="Attachments">
      {message.attachments.map((attachment) => (
        <Download key={attachment.n} api={api} id={message.id} attachment={attachment} />
      ))}
    </ul>
  );
}

/** The bearer is no cookie, so a link would be refused: the bytes are fetched, then saved. */
function Download({ api, id, attachment }: { api: Api; id: string; attachment: Attachment }) {
  const { n, filename, contentType, size } = attachment;
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const leaving = useRef<AbortController | null>(null);
  useEffect(() => () => leaving.current?.abort(), []);

  async function download() {
    const mine = new AbortController();
    leaving.current = mine;
    setBusy(true);
    setError(null);
    try {
      saveAs(await api.attachment(id, n, mine.signal), filename);
    } catch (problem) {
      if (!mine.signal.aborted) setError((problem as Error).message);
    } finally {
      if (!mine.signal.aborted) setBusy(false);
    }
  }

  return (
    <li title={contentType}>
      <button type="button" className="inline" disabled={busy} onClick={() => void download()}>
        <bdi>{filename}</bdi>
      </button>{" "}
      <span className="muted">{busy ? "Fetching…" : sizeWords(size)}</span>
      {error && <span role="alert"> {error}</span>}
    </li>
  );
}
