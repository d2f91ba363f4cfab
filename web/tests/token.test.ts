import { beforeEach, describe, expect, test } from "vitest";
import { cleanToken, dropToken, takeToken, tokenInFragment } from "../src/token";

describe("a fragment", () => {
  test.each([
    ["#token=a.b.c", "a.b.c"],
    ["#account=1&token=a.b-_c", "a.b-_c"],
    ["#token=", null],
    ["#message=m1", null],
    ["", null],
  ])("%s holds the token %s", (fragment, token) => {
    expect(tokenInFragment(fragment)).toBe(token);
  });
});

describe("what is pasted", () => {
  test.each([
    ["  a.b.c\n", "a.b.c"],
    ["Bearer a.b.c", "a.b.c"],
    ["http://127.0.0.1:8000/#token=a.b.c", "a.b.c"],
    ["   ", null],
  ])("%j is read as %s", (pasted, token) => {
    expect(cleanToken(pasted)).toBe(token);
  });
});

describe("a token handed over in the address", () => {
  beforeEach(() => {
    dropToken();
    location.hash = "";
  });

  test("leaves the address bar and stays for this tab", () => {
    location.hash = "#token=a.b.c";
    expect(takeToken()).toBe("a.b.c");
    expect(location.href).not.toContain("a.b.c");
    expect(takeToken()).toBe("a.b.c");
  });

  test("takes the place of an older one", () => {
    location.hash = "#token=old";
    takeToken();
    location.hash = "#token=new";
    expect(takeToken()).toBe("new");
  });

  test("is gone once dropped, and another fragment is left alone", () => {
    location.hash = "#token=a.b.c";
    takeToken();
    dropToken();
    location.hash = "#message=m1";
    expect(takeToken()).toBeNull();
    expect(location.hash).toBe("#message=m1");
  });
});
