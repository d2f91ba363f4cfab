import { describe, expect, test } from "vitest";
import { subjectOf } from "../src/token";

const jwt = (payload: string) => `x.${Buffer.from(payload).toString("base64url")}.y`;

describe("the subject of a token", () => {
  test("is read from its claims", () => {
    expect(subjectOf(jwt('{"sub":"user-??>"}'))).toBe("user-??>");
  });

  test.each(["", "no-jwt", jwt("[]"), jwt("{}"), jwt("null"), "a.%%.c"])(
    "is null for %j",
    (token) => expect(subjectOf(token)).toBeNull(),
  );
});
