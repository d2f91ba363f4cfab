import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import type { Api } from "../src/api";
import { Attachments } from "../src/components/Attachments";
import { MessageBody } from "../src/components/MessageBody";
import { withinBounds } from "../src/hooks/useInlineImages";
import type { Message } from "../src/model";
import { message } from "./given";

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

const whole = (more: Partial<Message>): Message => ({
  ...message(1),
  cc: [],
  bcc: [],
  replyTo: [],
  messageId: null,
  inReplyTo: null,
  references: [],
  text: null,
  html: null,
  attachments: [],
  inlineImages: [],
  ...more,
});

const image = (n: number, size = 100, contentType = "image/png") => ({
  cid: `${n}@x`,
  n,
  contentType,
  size,
});

const serving = (attachment: Api["attachment"]) => ({ attachment }) as Api;

const report = {
  n: 3,
  filename: "report.pdf",
  contentType: "application/pdf",
  size: 24_000,
  contentId: null,
  disposition: "attachment",
};

test("an attachment is saved under its name, its bytes without their type", async () => {
  const saved: [string, string][] = [];
  const click = function (this: HTMLAnchorElement) {
    saved.push([this.download, this.href]);
  };
  vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(click);
  const made = vi.spyOn(URL, "createObjectURL").mockReturnValue("blob:x");
  const asked: unknown[] = [];
  const api = serving(async (id, n) => {
    asked.push([id, n]);
    return new Blob(["<script>"], { type: "text/html" });
  });
  render(<Attachments api={api} message={whole({ attachments: [report] })} />);
  expect(screen.getByRole("listitem").textContent).toContain("24 KB");
  fireEvent.click(screen.getByRole("button", { name: "Save report.pdf" }));
  await waitFor(() => expect(saved).toEqual([["report.pdf", "blob:x"]]));
  expect(asked).toEqual([["m1", 3]]);
  expect(made.mock.calls).toMatchObject([[{ type: "application/octet-stream" }]]);
});

test("an attachment that cannot be had says why", async () => {
  const api = serving(() => Promise.reject(new Error("The mail server has it no more.")));
  render(<Attachments api={api} message={whole({ attachments: [report] })} />);
  fireEvent.click(screen.getByRole("button", { name: "Save report.pdf" }));
  expect((await screen.findByRole("alert")).textContent).toContain("has it no more");
});

test("images of the message appear in its text, and one that fails hides nothing", async () => {
  const api = serving((_, n) =>
    n === 1 ? Promise.resolve(new Blob(["png"])) : Promise.reject(new Error("no")),
  );
  const html = '<p>Hello <img src="cid:1@x"> <img src="cid:2@x"></p>';
  const letter = whole({ html, inlineImages: [image(1), image(2)] });
  render(<MessageBody api={api} message={letter} />);
  const frame = screen.getByTestId("message-frame");
  await waitFor(() => expect(frame.getAttribute("srcdoc")).toContain("data:image/png;base64,cG5n"));
  expect(frame.getAttribute("srcdoc")).toContain("Hello");
  expect(frame.getAttribute("srcdoc")).not.toContain("cid:");
});

test("no more images are fetched than a message may have", () => {
  expect(withinBounds(Array.from({ length: 30 }, (_, n) => image(n)))).toHaveLength(20);
  expect(withinBounds([image(1, 5e6), image(2)])).toEqual([image(2)]);
  expect(withinBounds([1, 2, 3, 4].map((n) => image(n, 4e6)))).toHaveLength(3);
  expect(withinBounds([image(1, 100, "image/svg+xml")])).toEqual([]);
});
