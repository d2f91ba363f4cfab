import { useEffect, useMemo, useSyncExternalStore } from "react";
import { Listing, type FetchPage } from "../listing";

/** A list of what `fetchPage` gives, which keeps its identity as long as the list is the same. */
export function useListing<T extends { id: string }>(fetchPage: FetchPage<T>) {
  const listing = useMemo(() => new Listing<T>(fetchPage), [fetchPage]);
  const state = useSyncExternalStore(listing.observe, () => listing.state);
  useEffect(() => listing.open(), [listing]);
  return { listing, state };
}
