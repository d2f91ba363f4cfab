import { useEffect, useRef } from "react";
import "./HelpSheet.css";

const KEYS: [string[], string][] = [
  [["j", "k"], "Next and previous conversation"],
  [["o", "Enter"], "Open it"],
  [["u", "Esc"], "Back to the list"],
  [["/"], "Search"],
  [["s"], "Sync now"],
  [["?"], "This sheet"],
];

/** Which keys do what; it is open as long as it is in the page. */
export function HelpSheet({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="card dialog"
      aria-labelledby="help-title"
      data-testid="help"
      onClose={onClose}
    >
      <h2 id="help-title">Keyboard</h2>
      <dl className="keys">
        {KEYS.map(([keys, words]) => (
          <div key={words}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{words}</dd>
          </div>
        ))}
      </dl>
      <div className="actions">
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}
