import { expect, test } from "vitest";
import { linkParts } from "../src/links";

const hrefs = (text: string) => linkParts(text).flatMap(({ href }) => href ?? []);

test("addresses are found without the sentence around them", () => {
  expect(hrefs("See https://a.example/x?y=1. Or (http://b.example)!")).toEqual([
    "https://a.example/x?y=1",
    "http://b.example",
  ]);
});

test("nothing but http and https becomes a link", () => {
  expect(hrefs("javascript:alert(1) ftp://a.example mailto:a@b.example")).toEqual([]);
});

test("the parts together are the whole text", () => {
  const text = "a https://x.example, b\n> https://y.example";
  expect(
    linkParts(text)
      .map((part) => part.text)
      .join(""),
  ).toBe(text);
});

test("a long run of dots costs no time", () => {
  const text = `https://${".".repeat(200_000)}x`.repeat(3);
  const start = performance.now();
  linkParts(text);
  expect(performance.now() - start).toBeLessThan(1000);
});
