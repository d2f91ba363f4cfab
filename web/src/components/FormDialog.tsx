import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { ApiError } from "../api";
import { type Problem, ProblemContext } from "./Field";
import "./FormDialog.css";

interface Props {
  title: string;
  /** What the button says. */
  action: string;
  /** What is said while it works, after so many seconds. */
  working: (seconds: number) => string;
  /** Does the work; what it throws is shown in words, and nothing that was typed is lost. */
  onSubmit: (form: FormData) => Promise<void>;
  onClose: () => void;
  /** The field that an error of the API belongs to. */
  fieldOf?: (error: ApiError) => string | null;
  dangerous?: boolean;
  children: ReactNode;
}

/** Thrown by a form that knows which field is wrong. */
export class FieldError extends Error {
  override readonly name = "FieldError";
  readonly field: string;

  constructor(field: string, words: string) {
    super(words);
    this.field = field;
  }
}

/** A modal form. It is open as long as it is in the page; the focus goes back to where it was. */
export function FormDialog(props: Props) {
  const { title, action, working, onSubmit, onClose, fieldOf, dangerous, children } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const [since, setSince] = useState<number | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const seconds = useSeconds(since);

  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);

  useEffect(() => reveal(form.current, problem?.field ?? null), [problem]);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (since !== null) return;
    setSince(Date.now());
    setProblem(null);
    try {
      await onSubmit(new FormData(event.currentTarget));
    } catch (error) {
      setProblem(problemOf(error as Error, fieldOf));
    } finally {
      setSince(null);
    }
  };

  return (
    <dialog ref={dialog} className="card dialog" aria-labelledby="dialog-title" onClose={onClose}>
      <form ref={form} onSubmit={(event) => void submit(event)}>
        <h2 id="dialog-title">{title}</h2>
        <ProblemContext value={problem}>{children}</ProblemContext>
        <div aria-live="polite" className="form-status">
          {since !== null && <p data-testid="dialog-progress">{working(seconds)}</p>}
          {problem && problem.field === null && (
            <p className="notice trouble" data-testid="dialog-problem">
              {problem.words}
            </p>
          )}
          {problem && problem.field !== null && <p className="hidden">{problem.words}</p>}
        </div>
        <div className="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            className={dangerous ? "primary dangerous" : "primary"}
            aria-disabled={since !== null}
          >
            {action}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function problemOf(error: Error, fieldOf: Props["fieldOf"]): Problem {
  if (error instanceof FieldError) return { words: error.message, field: error.field };
  const field = error instanceof ApiError ? (fieldOf?.(error) ?? null) : null;
  return { words: error.message, field };
}

/** Puts the cursor where it is wrong, be it in a part of the form that is folded away. */
function reveal(form: HTMLFormElement | null, field: string | null): void {
  const input = field === null ? null : form?.elements.namedItem(field);
  if (!(input instanceof HTMLInputElement)) return;
  const folded = input.closest("details");
  if (folded) folded.open = true;
  input.focus();
  input.select();
}

/** Whole seconds since then; 0 where nothing runs. */
function useSeconds(since: number | null): number {
  const [now, setNow] = useState(0);
  useEffect(() => {
    if (since === null) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [since]);
  return since === null ? 0 : Math.max(0, Math.floor((now - since) / 1000));
}
