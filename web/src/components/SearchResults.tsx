import type { Api } from "../api";
import { useNow } from "../hooks/useNow";
import { useSearch } from "../hooks/useSearch";
import { MessageRow } from "./MessageRow";

interface Props {
  api: Api;
  /** What was looked for; another search is another element. */
  looked: string;
  accountId: string | null;
  openId: string | null;
  onOpen: (id: string) => void;
}

/** What was found, in place of the message list. */
export function SearchResults({ api, looked, accountId, openId, onOpen }: Props) {
  const now = useNow();
  const { results, error, loading, more, load } = useSearch(api, looked, accountId);
  return (
    <section className="list" aria-label="Search results" aria-busy={loading}>
      <h2 className="list-title">Found for “{looked}”</h2>
      {error && (
        <p className="notice trouble" role="alert">
          {error.message}
        </p>
      )}
      {loading && <p className="muted padded">Searching…</p>}
      {!loading && !error && results.length === 0 && (
        <div className="empty">
          <p className="empty-title">No results</p>
          <p>No message has all of that. Fewer words find more; invoic* finds invoices too.</p>
        </div>
      )}
      <ul className="rows">
        {results.map(({ message, snippet }) => (
          <MessageRow
            key={message.id}
            message={message}
            open={message.id === openId}
            now={now}
            excerpt={snippet}
            onOpen={onOpen}
          />
        ))}
      </ul>
      {more && !loading && (
        <div className="older">
          <button type="button" onClick={load}>
            Show more
          </button>
        </div>
      )}
    </section>
  );
}
