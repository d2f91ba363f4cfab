import { describe, expect, test } from "vitest";
import { lifetimeOf, subjectOf } from "../src/token";

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

describe("the lifetime of a token", () => {
  test("is from when it was made to its end, whatever the clock here says", () => {
    expect(lifetimeOf(jwt('{"iat":1000,"exp":1900}'))).toBe(900_000);
  });

  test.each([jwt("{}"), jwt('{"exp":1900}'), jwt('{"iat":"1000","exp":1900}'), "no-jwt"])(
    "is unknown for %j",
    (token) => expect(lifetimeOf(token)).toBeNull(),
  );
});
