import type { Api } from "../api";
import { useNow } from "../hooks/useNow";
import { useSearch, type Found } from "../hooks/useSearch";
import { correspondent, subjectOf } from "../words";
import { ListTrouble } from "./ListTrouble";
import { RowText } from "./RowText";
import { VirtualList } from "./VirtualList";

interface Props {
  api: Api;
  looked: string;
  accountId: string | null;
  /** The message that is open. */
  openId: string | null;
  onOpen: (found: Found) => void;
  onClear: () => void;
}

/** What was found, in place of the conversations. */
export function SearchResults({ api, looked, accountId, openId, onOpen, onClear }: Props) {
  const now = useNow();
  const { listing, state } = useSearch(api, looked, accountId);
  return (
    <section className="list" aria-label="Search results">
      <div className="list-head">
        <h2 className="list-title">
          Found for <bdi>“{looked}”</bdi>
        </h2>
        <button type="button" className="inline" onClick={onClear}>
          Close search
        </button>
      </div>
      <ListTrouble what="" of={{ listing, state }} />
      <output className="hidden">{summary(state)}</output>
      {state.loaded && state.ended && state.count === 0 ? (
        <div className="empty">
          <p className="empty-title">No results</p>
          <p>No message has all of that. Fewer words find more; invoic* finds invoices too.</p>
        </div>
      ) : (
        <VirtualList
          key={`${accountId} ${looked}`}
          listing={listing}
          state={state}
          label="Search results"
          openId={openId}
          onOpen={onOpen}
          isUnread={({ message }) => message.unread}
        >
          {({ message, excerpt }) => (
            <RowText
              who={correspondent(message)}
              unread={message.unread}
              time={message.internalDate}
              now={now}
              subject={subjectOf(message)}
              attachments={message.hasAttachments}
              snippet={excerpt}
            />
          )}
        </VirtualList>
      )}
    </section>
  );
}

function summary({ loaded, ended, count, error }: ReturnType<typeof useSearch>["state"]): string {
  if (error) return "";
  if (!loaded) return "Searching…";
  return `${count}${ended ? "" : " or more"} found`;
}
