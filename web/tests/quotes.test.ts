import { expect, test } from "vitest";
import { foldQuote } from "../src/quotes";

test("the quote at the end is folded, with the line that says whose it is", () => {
  const text = "Gladly.\n\nOn Tuesday Anna wrote:\n> Could we talk?\n>\n> Anna\n";
  expect(foldQuote(text)).toEqual({
    text: "Gladly.",
    quote: "On Tuesday Anna wrote:\n> Could we talk?\n>\n> Anna",
  });
});

test("such a line may be broken in two", () => {
  const text = "Yes.\n\nAm 3. März um 12:02 schrieb Anna\n<anna@northwind.example>:\n\n> Nun?";
  expect(foldQuote(text).text).toBe("Yes.");
});

test("what Outlook repeats is folded too", () => {
  const text = "See below.\n\n-----Original Message-----\nFrom: Anna\n\nCould we talk?";
  expect(foldQuote(text).text).toBe("See below.");
});

test("quotes between the lines of an answer stay where they are", () => {
  const text = "> Could we talk?\nYes.\n> When?\nTomorrow.";
  expect(foldQuote(text)).toEqual({ text, quote: "" });
});

test("a letter that is nothing but a quote is not folded away", () => {
  expect(foldQuote("> All of it\n> was said\n").quote).toBe("");
  expect(foldQuote("Nothing is repeated here.").quote).toBe("");
});

test("a hostile letter costs no more than its length", () => {
  const begun = performance.now();
  foldQuote("> \n".repeat(300_000));
  foldQuote(`${"x:\n".repeat(300_000)}>`);
  expect(performance.now() - begun).toBeLessThan(5000);
});
