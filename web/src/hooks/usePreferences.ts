import { useSyncExternalStore } from "react";
import { observePreferences, type Preferences, preferences } from "../preferences";

export function usePreferences(): Preferences {
  return useSyncExternalStore(observePreferences, preferences);
}
