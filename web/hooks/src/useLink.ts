import { createContext, useContext } from "react";
import type { Link } from "./link.js";

export const LinkContext = createContext<Link | null>(null);

export function useLink(): Link {
  const link = useContext(LinkContext);
  if (!link) throw new Error("Postwire's hooks need a SocketProvider above them");
  return link;
}
