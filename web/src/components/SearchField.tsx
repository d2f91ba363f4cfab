import { useEffect, useRef, useState, type FormEvent } from "react";
import "./SearchField.css";

/** The field to search in: `/` goes to it, Enter searches, Escape and the button clear it. */
export function SearchField({ onSearch }: { onSearch: (looked: string) => void }) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState("");

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || isTyping(event.target)) return;
      event.preventDefault();
      field.current?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  const search = (event: FormEvent) => {
    event.preventDefault();
    onSearch(typed.trim());
  };
  const clear = () => {
    setTyped("");
    onSearch("");
    field.current?.focus();
  };

  return (
    <search className="search">
      <form onSubmit={search}>
        <input
          ref={field}
          aria-label="Search mail"
          placeholder="Search mail"
          title="Words, phrases in quotes, from:, to:, subject:, after:, in:, has:attachment, is:unread"
          maxLength={1000}
          autoComplete="off"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          onKeyDown={(event) => event.key === "Escape" && clear()}
        />
        {typed && (
          <button type="button" className="quiet" onClick={clear}>
            Clear
          </button>
        )}
      </form>
    </search>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && target.closest("input, textarea, select, dialog") !== null
  );
}
