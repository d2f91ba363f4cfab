import { useRef, useState, type FormEvent } from "react";
import { useKeys } from "../hooks/useKeys";
import { SearchFilters } from "./SearchFilters";
import "./SearchField.css";

interface Props {
  /** What is searched for now; another is another element. */
  looked: string;
  /** Told what to search for; empty ends the search. */
  onSearch: (looked: string) => void;
}

/** The field to search in: `/` goes to it, Enter searches, Escape and the button clear it. */
export function SearchField({ looked, onSearch }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState(looked);
  const [filtering, setFiltering] = useState(false);
  useKeys({
    "/": () => {
      field.current?.focus();
      field.current?.select();
    },
  });

  const search = (event: FormEvent) => {
    event.preventDefault();
    onSearch(typed.trim());
  };
  const clear = () => {
    setTyped("");
    onSearch("");
    field.current?.focus();
  };
  const filter = (query: string) => {
    setFiltering(false);
    setTyped(query);
    onSearch(query);
    field.current?.focus();
  };

  return (
    <search className="search">
      <form onSubmit={search}>
        <input
          ref={field}
          aria-label="Search mail"
          placeholder="Search mail"
          maxLength={1000}
          autoComplete="off"
          enterKeyHint="search"
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
          onKeyDown={(event) => event.key === "Escape" && clear()}
        />
        {typed && (
          <button type="button" className="quiet" onClick={clear}>
            Clear
          </button>
        )}
        <button
          type="button"
          className="quiet"
          aria-expanded={filtering}
          onClick={() => setFiltering(!filtering)}
        >
          Filters
        </button>
      </form>
      {filtering && (
        <SearchFilters words={typed} onSearch={filter} onClose={() => setFiltering(false)} />
      )}
    </search>
  );
}
