import { createContext, type InputHTMLAttributes, useContext, useId } from "react";

/** What is wrong with a form: the words, and the name of the field they belong to. */
export interface Problem {
  words: string;
  /** Null where it is no one field's. */
  field: string | null;
}

export const ProblemContext = createContext<Problem | null>(null);

interface Props extends InputHTMLAttributes<HTMLInputElement> {
  name: string;
  label: string;
  /** Beside the label, in soft ink. */
  hint?: string;
}

/** A labelled field of a form, with what is wrong with it right below. */
export function Field({ label, hint, ...input }: Props) {
  const id = useId();
  const problem = useContext(ProblemContext);
  const words = problem?.field === input.name ? problem.words : null;
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} {hint && <span className="muted">{hint}</span>}
      </label>
      <input
        id={id}
        autoComplete="off"
        aria-invalid={words !== null}
        aria-describedby={words === null ? undefined : `${id}-problem`}
        {...input}
      />
      {words !== null && (
        <p id={`${id}-problem`} className="field-problem" data-testid="field-problem">
          {words}
        </p>
      )}
    </div>
  );
}
