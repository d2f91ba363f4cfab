import { useEffect, useRef, useState, type FormEvent, type ReactNode } from "react";
import "./FormDialog.css";

interface Props {
  title: string;
  /** What the button says, and what it says while it works. */
  action: string;
  working: string;
  /** Does the work; the words of what it throws are shown and the dialog stays open. */
  onSubmit: (form: FormData) => Promise<void>;
  onClose: () => void;
  children: ReactNode;
}

/** A modal form. It is open as long as it is in the page. */
export function FormDialog({ title, action, working, onSubmit, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => dialog.current?.showModal(), []);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await onSubmit(new FormData(event.currentTarget));
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <dialog ref={dialog} className="card dialog" aria-labelledby="dialog-title" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        {problem && (
          <p className="notice trouble" role="alert" data-testid="dialog-problem">
            {problem}
          </p>
        )}
        <div className="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy}>
            {busy ? working : action}
          </button>
        </div>
      </form>
    </dialog>
  );
}
