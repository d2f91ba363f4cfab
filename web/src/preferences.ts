/** What a person has set for this browser; it is kept in localStorage, where there is one. */

export type Theme = "system" | "light" | "dark";

export interface Preferences {
  theme: Theme;
  /** Whether new mail is shown on the desktop; the browser has to allow it as well. */
  notify: boolean;
}

const KEY = "postwire.preferences";
const observers = new Set<() => void>();
let current: Preferences = read();

export function preferences(): Preferences {
  return current;
}

export function prefer(change: Partial<Preferences>): void {
  current = { ...current, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // It holds until the page is closed.
  }
  applyTheme();
  for (const observer of observers) observer();
}

export function observePreferences(observer: () => void): () => void {
  observers.add(observer);
  return () => observers.delete(observer);
}

/** The page's colours are all `light-dark()`, so one rule for each theme decides. */
export function applyTheme(): void {
  document.documentElement.dataset["theme"] = current.theme;
}

/** Another tab has changed them. */
addEventListener("storage", ({ key }) => {
  if (key !== KEY) return;
  current = read();
  applyTheme();
  for (const observer of observers) observer();
});

function read(): Preferences {
  return parsePreferences(stored());
}

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Whatever was kept, by whichever version of the page. */
export function parsePreferences(text: string | null): Preferences {
  const kept = fieldsOf(text);
  const { theme, notify } = kept;
  return {
    theme: theme === "light" || theme === "dark" ? theme : "system",
    notify: notify === true,
  };
}

function fieldsOf(text: string | null): Record<string, unknown> {
  try {
    const kept: unknown = JSON.parse(text ?? "{}");
    return typeof kept === "object" && kept !== null ? (kept as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
