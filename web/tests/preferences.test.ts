import { afterEach, expect, test } from "vitest";
import { observePreferences, parsePreferences, prefer, preferences } from "../src/preferences";

afterEach(() => prefer({ theme: "system", notify: false }));

test.each([null, "", "{", "null", "3", '{"theme":"pink","notify":"yes"}'])(
  "whatever was kept, %s, is read as nothing chosen",
  (text) => expect(parsePreferences(text)).toEqual({ theme: "system", notify: false }),
);

test("what is chosen is kept, told, and seen", () => {
  let told = 0;
  const stop = observePreferences(() => told++);
  prefer({ theme: "dark" });
  expect(preferences()).toEqual({ theme: "dark", notify: false });
  expect(parsePreferences(localStorage.getItem("postwire.preferences")).theme).toBe("dark");
  expect(document.documentElement.dataset["theme"]).toBe("dark");
  expect(told).toBe(1);
  stop();
  prefer({ theme: "system" });
  expect(document.documentElement.dataset["theme"]).toBe("system");
  expect(told).toBe(1);
});

test("what another tab chose holds here too", () => {
  localStorage.setItem("postwire.preferences", '{"theme":"light","notify":true}');
  dispatchEvent(new StorageEvent("storage", { key: "postwire.preferences" }));
  expect(preferences()).toEqual({ theme: "light", notify: true });
});
