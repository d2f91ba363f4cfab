/** The bearer token: handed over in the URL fragment, kept for this tab only. */

const KEY = "postwire.token";

/** The token in a fragment such as `#token=abc`, or null where there is none. */
export function tokenInFragment(fragment: string): string | null {
  const token = new URLSearchParams(fragment.replace(/^#/, "")).get("token");
  return token ? cleanToken(token) : null;
}

/** A pasted token without what people paste along: blanks, `Bearer`, or a whole link. */
export function cleanToken(pasted: string): string | null {
  const hash = pasted.indexOf("#token=");
  const bare = hash >= 0 ? decodeURIComponent(pasted.slice(hash + 7)) : pasted;
  return bare.trim().replace(/^Bearer\s+/i, "") || null;
}

/**
 * Moves a token from the address bar into the session and returns the one in force.
 * The fragment is removed at once, so that it reaches neither the history nor a screenshot.
 */
export function takeToken(): string | null {
  const handed = tokenInFragment(location.hash);
  if (!handed) return sessionStorage.getItem(KEY);
  history.replaceState(null, "", location.pathname + location.search);
  keepToken(handed);
  return handed;
}

export function keepToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export function dropToken(): void {
  sessionStorage.removeItem(KEY);
}
