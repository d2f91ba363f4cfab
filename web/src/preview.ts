/** What of an attachment can be shown in the page, and as what. */

import type { Attachment } from "./model";

/** No SVG, which is a document with scripts. */
export const IMAGES: ReadonlySet<string> = new Set([
  "image/png",
  "image/jpeg",
  "image/gif",
  "image/webp",
]);
const TEXTS = new Set(["application/json", "application/xml", "message/rfc822"]);
/** Bytes; what is larger is saved instead. */
const LARGEST = { image: 16 * 1024 * 1024, text: 1024 * 1024 };

/**
 * As what it is shown, or null. Text is shown as it is written, HTML too. A PDF is not shown: what
 * browsers show it with does not run in a frame without scripts and origin, and outside of one it
 * would be a stranger's document on ours.
 */
export function previewKind({ contentType, size }: Attachment): "image" | "text" | null {
  const kind = IMAGES.has(contentType) ? "image" : isText(contentType) ? "text" : null;
  return kind && size <= LARGEST[kind] ? kind : null;
}

function isText(contentType: string): boolean {
  return contentType.startsWith("text/") || TEXTS.has(contentType);
}

/** The bytes as a data: URL of that type; the page's policy lets an image be nothing else. */
export function dataUrl(bytes: Blob, contentType: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result as string));
    reader.addEventListener("error", () => reject(new Error("The image cannot be read.")));
    reader.readAsDataURL(new Blob([bytes], { type: contentType }));
  });
}
