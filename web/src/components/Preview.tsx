import { useEffect, useRef } from "react";
import "./Preview.css";

/** An image by its data: URL, or the text of a file. */
export type Shown = { image: string } | { text: string };

interface Props {
  filename: string;
  shown: Shown;
  onSave: () => void;
  onClose: () => void;
}

/** An attachment on the page; it is open as long as it is in the page. */
export function Preview({ filename, shown, onSave, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="card dialog preview"
      aria-label={`Preview of ${filename}`}
      data-testid="preview"
      onClose={onClose}
    >
      <div className="preview-head">
        <h2>
          <bdi>{filename}</bdi>
        </h2>
        <button type="button" onClick={onSave}>
          Save
        </button>
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
      {"image" in shown ? (
        <img src={shown.image} alt={filename} />
      ) : (
        // Text may be longer than the dialog, and is scrolled by keyboard too.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <pre tabIndex={0}>{shown.text}</pre>
      )}
    </dialog>
  );
}
