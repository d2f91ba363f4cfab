import { expect, test } from "vitest";
import { previewKind } from "../src/preview";

const kindOf = (contentType: string, size = 1000) =>
  previewKind({ n: 1, filename: "x", contentType, size, contentId: null, disposition: null });

test("images and text are shown, and what could run is not shown as what it is", () => {
  expect(kindOf("image/png")).toBe("image");
  expect(kindOf("text/csv")).toBe("text");
  expect(kindOf("text/html")).toBe("text");
  expect(kindOf("image/svg+xml")).toBeNull();
  expect(kindOf("application/pdf")).toBeNull();
});

test("what is larger than a page should hold is saved only", () => {
  expect(kindOf("image/png", 17 * 1024 * 1024)).toBeNull();
  expect(kindOf("text/plain", 2 * 1024 * 1024)).toBeNull();
});
