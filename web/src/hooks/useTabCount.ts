import { useEffect } from "react";

/** Shows in the tab how many messages are new: a number in the title, a dot on the icon. */
export function useTabCount(count: number): void {
  useEffect(() => {
    show(count);
    return () => show(0);
  }, [count]);
}

function show(count: number): void {
  document.title = count > 0 ? `(${count}) Postwire` : "Postwire";
  const icon = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  icon?.setAttribute("href", count > 0 ? "/favicon-new.svg" : "/favicon.svg");
}
