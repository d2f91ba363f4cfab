import { expect, test } from "vitest";
import { queryOf } from "../src/query";

const none = {
  words: "",
  from: "",
  to: "",
  subject: "",
  after: "",
  before: "",
  attachment: false,
  unread: false,
};

test("what is filled in becomes a search as it is typed", () => {
  const filters = { ...none, words: " budget ", from: "anna", after: "2026-01-31" };
  expect(queryOf({ ...filters, attachment: true, unread: true })).toBe(
    "budget from:anna after:2026-01-31 has:attachment is:unread",
  );
});

test("a value of several words stands in quotes, and has none of its own", () => {
  expect(queryOf({ ...none, subject: ' the "autumn" budget ' })).toBe(
    'subject:"the  autumn  budget"',
  );
});

test("nothing filled in asks for nothing", () => {
  expect(queryOf(none)).toBe("");
});
