// @vitest-environment node
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createApi, problemOf, type Api } from "../src/api";

let server: Server;
let api: Api;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let refusals: string[];

beforeEach(async () => {
  server = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  refusals = [];
  api = createApi({ token: "a.b.c", origin, onUnauthorized: (why) => refusals.push(why) });
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe("a problem", () => {
  test("is told by its detail", () => {
    const body = { title: "Refused", status: 422, detail: "The password is wrong." };
    const problem = problemOf({ status: 422, text: JSON.stringify(body) });
    expect(problem).toMatchObject({ status: 422, title: "Refused" });
    expect(problem.message).toBe("The password is wrong.");
  });

  test("without a detail is told by its title", () => {
    expect(problemOf({ status: 409, text: '{"title":"Already there"}' }).message).toBe(
      "Already there",
    );
  });

  test.each(["<html>Bad gateway</html>", "", "null", "[1]", '{"title":7,"detail":" "}'])(
    "that is none (%j) still becomes a sentence",
    (text) => expect(problemOf({ status: 502, text }).message).toBe("The server answered 502"),
  );
});

describe("a call", () => {
  test("carries the bearer and only the given parts of a query", async () => {
    let asked: IncomingMessage | undefined;
    answer = (request, response) => {
      asked = request;
      response.end('{"messages":[],"nextCursor":null}');
    };
    await api.messages({ accountId: null, cursor: "c+1", limit: 50 });
    expect(asked?.headers.authorization).toBe("Bearer a.b.c");
    expect(asked?.url).toBe("/api/messages?cursor=c%2B1&limit=50");
  });

  test("that is refused for its token says so once, with the reason", async () => {
    answer = (_, response) => {
      response.writeHead(401, { "content-type": "application/problem+json" });
      response.end('{"title":"Unauthorized","status":401,"detail":"The token has expired."}');
    };
    await expect(api.accounts()).rejects.toMatchObject({ status: 401 });
    expect(refusals).toEqual(["The token has expired."]);
  });

  test("answered with something else than JSON fails in words", async () => {
    answer = (_, response) => response.end("<html>");
    await expect(api.accounts()).rejects.toThrow("The server's answer is not JSON.");
  });

  test("that meets no server fails in words", async () => {
    answer = (request) => request.socket.destroy();
    await expect(api.accounts()).rejects.toMatchObject({ name: "ApiError", status: 0 });
    expect(refusals).toEqual([]);
  });

  test("that is never answered ends in time, in words", async () => {
    answer = () => undefined;
    const soon = AbortSignal.timeout(50);
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(soon);
    await expect(api.accounts()).rejects.toThrow("The server did not answer within 15 s.");
    timeout.mockRestore();
  });

  test("that is given up ends at once", async () => {
    answer = () => undefined;
    const leaving = new AbortController();
    const call = api.message("m1", leaving.signal);
    leaving.abort();
    await expect(call).rejects.toThrow("Cancelled");
  });
});
