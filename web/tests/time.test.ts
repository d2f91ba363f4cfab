import { describe, expect, test } from "vitest";
import { ago, fullTime, shortTime } from "../src/time";

const NOON = new Date(2025, 5, 18, 12, 0).getTime();
const at = (...parts: [number, number, number, number, number]) => new Date(...parts).toISOString();

describe("in a list", () => {
  test.each([
    [at(2025, 5, 18, 12, 0), "now"],
    [at(2025, 5, 18, 11, 55), "5 min"],
    [at(2025, 5, 18, 11, 0), "11:00"],
    [at(2025, 5, 17, 23, 0), "Tue"],
    [at(2025, 2, 3, 9, 0), "3 Mar"],
    [at(2024, 2, 3, 9, 0), "3 Mar 2024"],
  ])("%s reads %s", (iso, words) => {
    expect(shortTime(iso, NOON, "en-GB")).toBe(words);
  });

  test("a date in the future, as a wrong clock gives it, is written out", () => {
    expect(shortTime(at(2025, 5, 20, 9, 0), NOON, "en-GB")).toBe("20 Jun");
  });

  test("a date that is none reads as nothing", () => {
    expect(shortTime("never", NOON)).toBe("");
    expect(fullTime("never")).toBe("");
  });
});

test.each([
  [at(2025, 5, 18, 12, 5), "just now"],
  [at(2025, 5, 18, 11, 59), "1 minute ago"],
  [at(2025, 5, 18, 9, 0), "3 hours ago"],
  [at(2025, 5, 17, 9, 0), "yesterday"],
])("in a sentence %s reads %s", (iso, words) => {
  expect(ago(iso, NOON, "en-GB")).toBe(words);
});
