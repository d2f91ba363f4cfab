import { createContext, useEffect, useState, type ReactNode } from "react";
import { Link } from "./link.js";
import type { RealtimeApi } from "./model.js";

export const LinkContext = createContext<Link | null>(null);

/** Holds the page's one connection; `useSocket` and `useEmailUpdates` work below it. */
export function SocketProvider({ api, children }: { api: RealtimeApi; children: ReactNode }) {
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
