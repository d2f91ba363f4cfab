import "./Toast.css";

interface Props {
  toast: { words: string; key: number } | null;
  onDismiss: () => void;
}

/** The live region stays in the page: one that comes with its text is often not read aloud. */
export function Toast({ toast, onDismiss }: Props) {
  return (
    <div className="toast-region" aria-live="polite" aria-atomic="true">
      {toast && (
        <div className="toast" data-testid="toast" key={toast.key}>
          <span>{toast.words}</span>
          <button type="button" onClick={onDismiss}>
            Dismiss
          </button>
        </div>
      )}
    </div>
  );
}
