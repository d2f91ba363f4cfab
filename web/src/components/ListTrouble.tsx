import { ApiError } from "../api";
import type { Listing, ListingState } from "../listing";

interface Props {
  what: string;
  /** Whether nothing is heard of changes. */
  stale?: boolean;
  of: { listing: Pick<Listing<{ id: string }>, "refresh">; state: ListingState };
}

/** Why a list is not what it should be, in words: it could not be fetched, or may be old. */
export function ListTrouble({ what, stale = false, of: { listing, state } }: Props) {
  if (state.error) {
    return (
      <p className="notice trouble" role="alert">
        {what} {state.error.message}{" "}
        {!isMistake(state.error) && (
          <button
            type="button"
            className="inline"
            onClick={() => void listing.refresh().catch(() => undefined)}
          >
            Try again
          </button>
        )}
      </p>
    );
  }
  if (!stale || !state.loaded) return null;
  return <p className="notice">Not connected: what is shown here may be out of date.</p>;
}

/** What was asked for cannot be had by asking again. */
function isMistake(error: Error): boolean {
  return error instanceof ApiError && error.status === 400;
}
