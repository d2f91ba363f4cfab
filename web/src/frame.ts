/** The document an HTML message is shown in: no scripts, and nothing fetched unless asked for. */

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
const POLICY_WITH_IMAGES = `${POLICY} https:; upgrade-insecure-requests`;

const STYLE = `
:root { color-scheme: light; }
html { overflow-y: hidden; overflow-x: auto; }
body { display: flow-root; margin: 0; padding: 8px 24px 24px; background: #fff; color: #1d2023;
  font: 15px/1.55 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word; }
img { max-width: 100%; height: auto; }
img:not([src]) { display: none; }
table { max-width: 100%; }
pre { white-space: pre-wrap; }
blockquote { margin: 0 0 0 4px; padding-left: 14px; border-left: 3px solid #d5d8db; }
a { color: #17645a; }`;

/** Whether the sanitised HTML holds remote images that were put aside. */
export function hasRemoteImages(html: string): boolean {
  return parse(html).querySelector("img[data-src]") !== null;
}

/**
 * The frame's source; remote images are fetched (over https only) where `images` is true.
 * `inline` has the images that came with the message, as data: URLs by content id.
 */
export function frameDocument(
  html: string,
  images: boolean,
  inline: ReadonlyMap<string, string> = new Map(),
): string {
  const policy = images ? POLICY_WITH_IMAGES : POLICY;
  return `<!doctype html><html><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="referrer" content="no-referrer"><base target="_blank">
<style>${STYLE}</style></head><body>${shown(html, images, inline)}</body></html>`;
}

function shown(html: string, remote: boolean, inline: ReadonlyMap<string, string>): string {
  const body = parse(html);
  for (const image of body.querySelectorAll('img[src^="cid:" i]')) {
    const url = inline.get(contentId(image.getAttribute("src") ?? ""));
    // Without an address it is not shown at all, rather than as a broken image.
    if (url) image.setAttribute("src", url);
    else image.removeAttribute("src");
  }
  for (const link of body.querySelectorAll("a[href]")) {
    const leads = /^(?:https?|mailto):/i.test(link.getAttribute("href") ?? "");
    if (!leads) {
      link.removeAttribute("href");
      continue;
    }
    link.setAttribute("target", "_blank");
    link.setAttribute("rel", "noopener noreferrer");
  }
  for (const image of remote ? body.querySelectorAll("img[data-src]") : []) {
    const address = image.getAttribute("data-src") ?? "";
    if (/^https?:\/\//i.test(address)) image.setAttribute("src", address);
  }
  return body.innerHTML;
}

/** The content id that a `cid:` URL names (RFC 2392). */
function contentId(url: string): string {
  const escaped = url.slice("cid:".length);
  try {
    return decodeURIComponent(escaped).replace(/^[<\s]+|[>\s]+$/g, "");
  } catch {
    return escaped;
  }
}

/** Parsed in a document without a browsing context: nothing is fetched, nothing runs. */
function parse(html: string): HTMLElement {
  return new DOMParser().parseFromString(html, "text/html").body;
}
