import { expect, test } from "vitest";
import { parseRoute, routeFragment } from "../src/hooks/useRoute";

const NOWHERE = {
  accountId: null,
  mailbox: null,
  looked: null,
  conversationId: null,
  messageId: null,
};

test("what is on show survives the address bar, whatever is in it", () => {
  const route = { ...NOWHERE, accountId: "a1", mailbox: "R&D/*", looked: 'from:"a b" #1 +x' };
  expect(parseRoute(routeFragment(route))).toEqual(route);
});

test("a bare page shows the inbox of all accounts", () => {
  expect(parseRoute("")).toEqual(NOWHERE);
  expect(routeFragment({ accountId: null })).toBe("#");
});
