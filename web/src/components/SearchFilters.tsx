import { useEffect, useRef, type FormEvent } from "react";
import { queryOf } from "../query";
import "./SearchFilters.css";

interface Props {
  /** What stands in the field; it is searched for too. */
  words: string;
  onSearch: (query: string) => void;
  onClose: () => void;
}

/** The filters of a search, for whoever does not know them by heart; it says how they are typed. */
export function SearchFilters({ words, onSearch, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const search = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const field = (name: string) => String(form.get(name) ?? "");
    const query = queryOf({
      words,
      from: field("from"),
      to: field("to"),
      subject: field("subject"),
      after: field("after"),
      before: field("before"),
      attachment: form.has("attachment"),
      unread: form.has("unread"),
    });
    if (query) onSearch(query);
  };

  return (
    <dialog
      ref={dialog}
      className="card dialog filters"
      aria-label="Search filters"
      data-testid="filters"
      onClose={onClose}
    >
      <form onSubmit={search}>
        <h2>Search filters</h2>
        <label>
          From
          <input name="from" autoComplete="off" />
        </label>
        <label>
          To
          <input name="to" autoComplete="off" />
        </label>
        <label>
          Subject
          <input name="subject" autoComplete="off" />
        </label>
        <div className="filters-dates">
          <label>
            From this day on
            <input name="after" type="date" />
          </label>
          <label>
            Before this day
            <input name="before" type="date" />
          </label>
        </div>
        <label className="check">
          <input name="attachment" type="checkbox" /> With attachments
        </label>
        <label className="check">
          <input name="unread" type="checkbox" /> Unread
        </label>
        <p className="muted filters-help">
          All of it can be typed: <code>from:anna</code> <code>subject:"autumn budget"</code>{" "}
          <code>after:2026-01-31</code> <code>in:sent</code> <code>larger:5M</code>{" "}
          <code>"whole phrase"</code> <code>tea or coffee</code> <code>-draft</code>{" "}
          <code>invoic*</code>
        </p>
        <div className="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className="primary">
            Search
          </button>
        </div>
      </form>
    </dialog>
  );
}
