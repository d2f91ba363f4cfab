import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { ApiError, type Api } from "../src/api";
import { AddAccountDialog, fieldOf } from "../src/components/AddAccountDialog";
import type { Account, Suggestion } from "../src/model";

beforeAll(() => {
  HTMLDialogElement.prototype.showModal ??= function (this: HTMLDialogElement) {
    this.open = true;
  };
});
afterEach(cleanup);

const suggestion = (more: Partial<Suggestion> = {}): Suggestion => ({
  host: "imap.example.com",
  port: 993,
  security: "tls",
  username: "ann@example.com",
  source: "srv",
  provider: null,
  oauth: null,
  note: null,
  help: null,
  ...more,
});

function dialog(api: Partial<Api>) {
  const onAdded = vi.fn<(id: string) => void>();
  render(<AddAccountDialog api={api as Api} onAdded={onAdded} onClose={() => undefined} />);
  return onAdded;
}

const field = (name: string) => screen.getByLabelText(name, { exact: false }) as HTMLInputElement;
const type = (name: string, value: string) => fireEvent.change(field(name), { target: { value } });
const submit = () => fireEvent.click(screen.getByRole("button", { name: "Add account" }));

test("the server is found once typing leaves the address, with what has to be known", async () => {
  const note = "Gmail wants an app password.";
  const discover = vi.fn<Api["discover"]>(async () => [
    suggestion({ provider: "Gmail", note, help: "https://x/" }),
  ]);
  dialog({ discover });
  type("Email address", "ann@example.com");
  fireEvent.blur(field("Email address"));
  expect(await screen.findByText(note, { exact: false })).toBeTruthy();
  expect(field("IMAP host").value).toBe("imap.example.com");
  expect(screen.getByRole("link").getAttribute("rel")).toBe("noreferrer");
  // The same address is not asked for twice.
  fireEvent.blur(field("Email address"));
  expect(discover).toHaveBeenCalledTimes(1);
});

test("who presses Enter in the first field still gets the server that is found", async () => {
  const addAccount = vi.fn<Api["addAccount"]>(async () => ({ id: "a1" }) as Account);
  const onAdded = dialog({
    discover: async () => [suggestion({ username: "ann" })],
    addAccount,
  });
  type("Email address", "ann@example.com");
  type("Password", "secret");
  submit();
  await waitFor(() => expect(onAdded).toHaveBeenCalledWith("a1"));
  expect(addAccount.mock.calls[0]?.[0]).toEqual({
    address: "ann@example.com",
    password: "secret",
    host: "imap.example.com",
    port: 993,
    security: "tls",
    username: "ann",
  });
});

test("what was written by hand is not overwritten by what is found", async () => {
  dialog({ discover: async () => [suggestion()] });
  type("IMAP host", "mail.example.org");
  type("Email address", "ann@example.com");
  fireEvent.blur(field("Email address"));
  const offer = await screen.findByRole("button", { name: "imap.example.com, port 993" });
  expect(field("IMAP host").value).toBe("mail.example.org");
  // But it can be taken.
  fireEvent.click(offer);
  expect(field("IMAP host").value).toBe("imap.example.com");
});

test("where nothing is found the host is asked for, and nothing typed is lost", async () => {
  const addAccount = vi.fn<Api["addAccount"]>();
  dialog({ discover: async () => [], addAccount });
  type("Email address", "ann@example.com");
  type("Password", "secret");
  submit();
  expect((await screen.findByTestId("field-problem")).textContent).toContain("write its name");
  expect(field("IMAP host").closest("details")?.open).toBe(true);
  expect(document.activeElement).toBe(field("IMAP host"));
  expect(field("Password").value).toBe("secret");
  expect(addAccount).not.toHaveBeenCalled();
});

test("who cancels while the login is tried gets no account", async () => {
  const logins: ((account: Account) => void)[] = [];
  const removeAccount = vi.fn<Api["removeAccount"]>(async () => undefined);
  const onAdded = dialog({
    discover: async () => [suggestion()],
    addAccount: () => new Promise((resolve) => logins.push(resolve)),
    removeAccount,
  });
  type("Email address", "ann@example.com");
  type("Password", "secret");
  submit();
  await screen.findByText("Signing in to imap.example.com…");
  cleanup();
  logins[0]?.({ id: "a1" } as Account);
  await waitFor(() => expect(removeAccount).toHaveBeenCalledWith("a1"));
  expect(onAdded).not.toHaveBeenCalled();
});

test("a refused login is said beside the password", async () => {
  const refused = new ApiError(422, "Refused", "It is wrong.", "/problems/login-failed");
  dialog({
    discover: async () => [suggestion()],
    addAccount: () => Promise.reject(refused),
  });
  type("Email address", "ann@example.com");
  type("Password", "secret");
  submit();
  await screen.findByTestId("field-problem");
  expect(field("Password").getAttribute("aria-invalid")).toBe("true");
  expect(field("Email address").value).toBe("ann@example.com");
});

test.each([
  [422, "/problems/login-failed", "", "password"],
  [422, "/problems/server-unreachable", "", "host"],
  [409, "/problems/conflict", "", "address"],
  [400, "about:blank", "host: write a host name", "host"],
  [400, "about:blank", "something else", null],
  [503, "/problems/store-unavailable", "", null],
])("a refusal (%i %s %s) belongs to the field %s", (status, kind, words, wanted) => {
  expect(fieldOf(new ApiError(status, "No", words, kind))).toBe(wanted);
});
