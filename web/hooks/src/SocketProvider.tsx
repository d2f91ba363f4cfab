import { useEffect, useState, type ReactNode } from "react";
import { Link } from "./link.js";
import type { PostwireApi } from "./model.js";
import { LinkContext } from "./useLink.js";

/** Holds the page's one connection, below which the hooks work; a new `api` makes a new one. */
export function SocketProvider({ api, children }: { api: PostwireApi; children: ReactNode }) {
  const [link, setLink] = useState<Link | null>(null);

  useEffect(() => {
    const opened = new Link(api);
    // The connection lives as long as this effect, so it cannot be made while rendering.
    // oxlint-disable-next-line react/set-state-in-effect
    setLink(opened);
    void opened.open();
    return () => opened.close();
  }, [api]);

  return link && <LinkContext.Provider value={link}>{children}</LinkContext.Provider>;
}
