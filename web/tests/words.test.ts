import { expect, test } from "vitest";
import type { Conversation } from "../src/model";
import { arrivalWords, correspondent, participantsOf, sizeWords } from "../src/words";
import { message } from "./given";

test("one new message is told with its sender, several with their number", () => {
  expect(arrivalWords(1, "Ines")).toBe("1 new email from Ines");
  expect(arrivalWords(1)).toBe("1 new email received");
  expect(arrivalWords(5, "Ines")).toBe("5 new emails received");
});

test("a row names the sender, and the recipients of sent mail", () => {
  const to = [
    { name: "Bo", address: "bo@example.com" },
    { name: " ", address: "cy@example.com" },
  ];
  expect(correspondent(message(1))).toBe("Ines Carvalho");
  expect(correspondent(message(1, { direction: "outbound", to }))).toBe("To: Bo, cy@example.com");
  expect(correspondent(message(1, { from: [] }))).toBe("Unknown sender");
});

const person = (name: string) => ({ name, address: `${name}@example.com` });

test("a conversation is with those who write in it, or whom its owner alone writes to", () => {
  const people = ["me", "Bo", "Cy", "Di", "Ed"].map(person);
  const names = (...senders: number[]) =>
    participantsOf(
      { senders: senders.map((n) => people[n]), participants: people } as Conversation,
      new Set(["me@example.com"]),
    );
  expect(names(1, 0)).toBe("Bo");
  expect(names(1, 2, 3, 4)).toBe("Bo, Cy, Di +1");
  expect(names(0)).toBe("To: Bo, Cy, Di +1");
  const alone = { senders: [people[0]], participants: [people[0]] } as Conversation;
  expect(participantsOf(alone, new Set(["me@example.com"]))).toBe("me");
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1 KB"],
  [999_499, "999 KB"],
  [999_500, "1.0 MB"],
  [3_120_044, "3.1 MB"],
  [2_000_000_000, "2.0 GB"],
])("%i bytes read %s", (bytes, words) => {
  expect(sizeWords(bytes)).toBe(words);
});
