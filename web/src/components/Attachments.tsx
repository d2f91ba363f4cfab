import { useState } from "react";
import type { Api } from "../api";
import { useBytes } from "../hooks/useBytes";
import type { Attachment, Message } from "../model";
import { dataUrl, previewKind } from "../preview";
import { saveAs } from "../save";
import { sizeWords } from "../words";
import { Preview, type Shown } from "./Preview";
import "./Attachments.css";

export function Attachments({ api, message }: { api: Api; message: Message }) {
  if (message.attachments.length === 0) return null;
  return (
    <ul className="attachments" aria-label="Attachments">
      {message.attachments.map((attachment) => (
        <Item key={attachment.n} api={api} id={message.id} attachment={attachment} />
      ))}
    </ul>
  );
}

/** The bearer is no cookie, so a link would be refused: the bytes are fetched, then saved. */
function Item({ api, id, attachment }: { api: Api; id: string; attachment: Attachment }) {
  const { n, filename, contentType, size } = attachment;
  const { progress, error, get } = useBytes(api, id, n);
  const [shown, setShown] = useState<Shown | null>(null);
  const kind = previewKind(attachment);

  const download = async () => {
    const bytes = await get();
    if (bytes) saveAs(bytes, filename);
  };
  const show = async () => {
    const bytes = await get();
    if (bytes) setShown(await shownOf(bytes, kind, contentType));
  };

  return (
    <li title={contentType}>
      <button
        type="button"
        className="inline"
        disabled={progress !== null}
        aria-label={`Save ${filename}`}
        onClick={() => void download()}
      >
        <bdi>{filename}</bdi>
      </button>
      <span className="muted">{progress ? progressWords(progress) : sizeWords(size)}</span>
      {progress && (
        <progress
          aria-label={`Fetching ${filename}`}
          {...(progress.total && { value: progress.received, max: progress.total })}
        />
      )}
      {kind && !progress && (
        <button
          type="button"
          className="inline"
          aria-label={`Preview ${filename}`}
          onClick={() => void show()}
        >
          Preview
        </button>
      )}
      {error && (
        <span role="alert" className="trouble-text">
          {error.message}
        </span>
      )}
      {shown && (
        <Preview
          filename={filename}
          shown={shown}
          onSave={() => void download()}
          onClose={() => setShown(null)}
        />
      )}
    </li>
  );
}

async function shownOf(bytes: Blob, kind: "image" | "text" | null, type: string): Promise<Shown> {
  return kind === "image" ? { image: await dataUrl(bytes, type) } : { text: await bytes.text() };
}

function progressWords({ received, total }: { received: number; total: number | null }): string {
  if (received === 0) return "Fetching…";
  return total ? `${sizeWords(received)} of ${sizeWords(total)}` : sizeWords(received);
}
