import type { AccountChanges } from "postwire-react";
import { describe, expect, test } from "vitest";
import { appendPage, applyChanges, listOf } from "../src/pages";
import { idsOf, message, page } from "./given";

const list = (numbers: number[], cursor: string | null) => listOf(page(numbers, cursor));

function changes(more: Partial<AccountChanges>): AccountChanges {
  return { accountId: "a1", added: [], changed: [], expunged: [], reset: false, ...more };
}

describe("changes", () => {
  test("put what came where it belongs by its time", () => {
    const after = applyChanges(list([5, 3], "3"), changes({ added: [message(4), message(6)] }));
    expect(idsOf(after)).toEqual(["m6", "m5", "m4", "m3"]);
    expect(after.nextCursor).toBe("3");
  });

  test("replace what is there, and never make it two", () => {
    const read = message(5, { unread: false, snippet: "read" });
    const after = applyChanges(list([5, 4], null), changes({ added: [read], changed: [read] }));
    expect(idsOf(after)).toEqual(["m5", "m4"]);
    expect(after.messages[0]?.snippet).toBe("read");
  });

  test("take away what is gone, known or not", () => {
    const after = applyChanges(list([5, 4], null), changes({ expunged: ["m4", "m99"] }));
    expect(idsOf(after)).toEqual(["m5"]);
  });

  test("leave what is older than the list's end to its page", () => {
    const after = applyChanges(list([5, 4], "4"), changes({ changed: [message(2)] }));
    expect(idsOf(after)).toEqual(["m5", "m4"]);
  });

  test("come between the list and its next page also where its last message is gone", () => {
    const shorter = applyChanges(list([5, 2], "2"), changes({ expunged: ["m2"] }));
    expect(idsOf(applyChanges(shorter, changes({ added: [message(4)] })))).toEqual(["m5", "m4"]);
  });

  test("make a first message where there was none", () => {
    expect(idsOf(applyChanges(list([], null), changes({ added: [message(1)] })))).toEqual(["m1"]);
  });

  test("of the same time stand by their number", () => {
    const { internalDate } = message(1);
    const three = ["9", "11", "10"].map((id) => message(1, { id, internalDate }));
    expect(idsOf(applyChanges(list([], null), changes({ added: three })))).toEqual([
      "11",
      "10",
      "9",
    ]);
  });
});

test("an older page comes behind the list, without what is there already", () => {
  const after = appendPage(list([5, 4], "4"), page([4, 3], null));
  expect(idsOf(after)).toEqual(["m5", "m4", "m3"]);
  expect(after.nextCursor).toBeNull();
});
