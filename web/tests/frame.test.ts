import { expect, test } from "vitest";
import { frameDocument, hasRemoteImages } from "../src/frame";

const policyOf = (source: string) => /Content-Security-Policy" content="([^"]*)"/.exec(source)?.[1];

test("the frame fetches nothing before it is asked to", () => {
  const source = frameDocument('<img data-src="https://images.example/a.png">', false);
  expect(policyOf(source)).toBe("default-src 'none'; style-src 'unsafe-inline'; img-src data:");
  expect(source).not.toMatch(/ src=/);
});

test("asked for images, it fetches them over https and nothing else", () => {
  const source = frameDocument('<img data-src="https://images.example/a.png">', true);
  expect(policyOf(source)).toContain("img-src data: https:;");
  expect(policyOf(source)).toContain("default-src 'none'");
  expect(source).toContain(' src="https://images.example/a.png"');
});

test("an address that is not of the web never becomes an image's", () => {
  const source = frameDocument('<img data-src="javascript:alert(1)">', true);
  expect(source).not.toMatch(/ src=/);
});

test("remote images are offered only where there are any", () => {
  expect(hasRemoteImages('<p data-src="x"><img src="data:image/png;base64,AA=="></p>')).toBe(false);
  expect(hasRemoteImages('<table><tr><td><img data-src="https://x.example/"></table>')).toBe(true);
});

test("an image that came with the message is shown once it is there, and hidden until then", () => {
  const html = '<img src="cid:logo%40x"><img src="cid:later@x"><img src="cid:%">';
  const source = frameDocument(html, false, new Map([["logo@x", "data:image/png;base64,AA=="]]));
  expect(source).toContain('<img src="data:image/png;base64,AA=="><img><img>');
});

test("each link opens apart and leads to the web or to a letter, or nowhere", () => {
  const html = '<a href="https://a.example" rel="opener">A</a><a href="JavaScript:x()">B</a>';
  const source = frameDocument(`${html}<a href="mailto:a@b.example">C</a>`, false);
  expect(source).toContain(
    '<a href="https://a.example" rel="noopener noreferrer" target="_blank">A</a><a>B</a>',
  );
  expect(source).toContain('<a href="mailto:a@b.example"');
});
