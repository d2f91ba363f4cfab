import { describe, expect, test } from "vitest";
import { appendPage, mergeNewest, reaches } from "../src/pages";
import { idsOf, message, page } from "./given";

describe("a fresh newest page", () => {
  test("puts new messages on top and keeps the older ones with their cursor", () => {
    const known = page([4, 3, 2, 1], "older-than-1");
    const merged = mergeNewest(known, page([6, 5, 4, 3], "older-than-3"));
    expect(idsOf(merged)).toEqual(["m6", "m5", "m4", "m3", "m2", "m1"]);
    expect(merged.nextCursor).toBe("older-than-1");
  });

  test("takes out what was expunged between messages that are still there", () => {
    const merged = mergeNewest(page([5, 4, 3, 2, 1], "c1"), page([5, 3, 2], "c2"));
    expect(idsOf(merged)).toEqual(["m5", "m3", "m2", "m1"]);
  });

  test("takes out an expunged message behind the last shared one", () => {
    // 3 is gone, so the page reaches down to 0, which had not been loaded.
    const merged = mergeNewest(page([5, 4, 3], "c3"), page([5, 4, 0], "c0"));
    expect(idsOf(merged)).toEqual(["m5", "m4", "m0"]);
    expect(merged.nextCursor).toBe("c0");
  });

  test("brings changed flags", () => {
    const fresh = { messages: [message(2, { unread: true })], nextCursor: "c2" };
    expect(mergeNewest(page([2, 1], "c1"), fresh).messages[0]?.unread).toBe(true);
  });

  test("replaces a list that it does not reach, as a hole would hide mail", () => {
    const merged = mergeNewest(page([3, 2, 1], "c1"), page([9, 8, 7], "c7"));
    expect(idsOf(merged)).toEqual(["m9", "m8", "m7"]);
    expect(merged.nextCursor).toBe("c7");
  });

  test("is the whole list where nothing older exists", () => {
    expect(idsOf(mergeNewest(page([3, 2, 1], "c1"), page([3], null)))).toEqual(["m3"]);
  });

  test("is told apart by whether it reaches the known list", () => {
    expect(reaches(page([9, 8], "c8"), page([7], "c7"))).toBe(false);
    expect(reaches(page([8, 7], "c7"), page([7], "c7"))).toBe(true);
    expect(reaches(page([9, 8], null), page([7], "c7"))).toBe(true);
  });
});

test("an older page goes behind the list, and what both hold comes once", () => {
  const list = appendPage(page([4, 3], "c3"), page([3, 2], "c2"));
  expect(idsOf(list)).toEqual(["m4", "m3", "m2"]);
  expect(list.nextCursor).toBe("c2");
});
