import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Api } from "../src/api";
import { SearchField } from "../src/components/SearchField";
import { SearchResults } from "../src/components/SearchResults";
import { message } from "./given";

beforeEach(() => {
  // Nothing has a height here; the list shows what a screen has room for.
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(800);
});

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

function results(search: Api["search"]) {
  const api = { search } as Api;
  render(
    <SearchResults
      api={api}
      looked="red"
      accountId={null}
      openId={null}
      onOpen={() => undefined}
      onClear={() => undefined}
    />,
  );
}

test("what was looked for is marked, and markup in mail stays text", async () => {
  const snippet = [
    { text: "a <b>", match: false },
    { text: "red", match: true },
  ];
  results(async () => ({ results: [{ message: message(1), snippet, rank: 1 }], nextCursor: null }));
  expect((await screen.findByText("red")).tagName).toBe("MARK");
  expect(screen.getByText("a <b>", { exact: false })).toBeTruthy();
});

test("nothing found is said in words, and so is a refusal", async () => {
  results(async () => ({ results: [], nextCursor: null }));
  expect(await screen.findByText("No results")).toBeTruthy();
  cleanup();
  results(() => Promise.reject(new Error("is: knows is:unread and is:read.")));
  expect((await screen.findByRole("alert")).textContent).toContain("is:unread");
});

test("the next page follows the first", async () => {
  const search = vi.fn<Api["search"]>(async ({ cursor }) => ({
    results: [{ message: message(cursor ? 2 : 1), snippet: [], rank: 1 }],
    nextCursor: cursor ? null : "c",
  }));
  results(search);
  await screen.findByText("Subject 2");
  expect(screen.getAllByRole("option")).toHaveLength(2);
  expect(screen.getByText("2 found")).toBeTruthy();
});

test("a slash goes to the field, Enter searches, and Clear empties it", () => {
  const onSearch = vi.fn<(looked: string) => void>();
  render(<SearchField looked="" onSearch={onSearch} />);
  const field = screen.getByLabelText<HTMLInputElement>("Search mail");
  fireEvent.keyDown(document.body, { key: "/" });
  expect(document.activeElement).toBe(field);
  fireEvent.change(field, { target: { value: " red " } });
  fireEvent.submit(field);
  expect(onSearch).toHaveBeenLastCalledWith("red");
  fireEvent.click(screen.getByText("Clear"));
  expect(field.value).toBe("");
  expect(onSearch).toHaveBeenLastCalledWith("");
});
