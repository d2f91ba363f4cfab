import { useEffect, useState } from "react";
import type { Api } from "../api";
import type { InlineImage, Message } from "../model";
import { dataUrl, IMAGES } from "../preview";

/** Images of one message that are fetched, the bytes of one as transferred, and of all. */
const MOST = 20;
const LARGEST = 4 * 1024 * 1024;
const ALL = 12 * 1024 * 1024;

/** Those images that are fetched, in the order of the message, until there is no more room. */
export function withinBounds(images: InlineImage[]): InlineImage[] {
  let room = ALL;
  return images
    .filter(({ contentType, size }) => IMAGES.has(contentType) && size <= LARGEST)
    .filter(({ size }) => (room -= size) >= 0)
    .slice(0, MOST);
}

/** The images of a message as data: URLs by content id; each appears as it arrives. */
export function useInlineImages(api: Api, message: Message): Map<string, string> {
  const [found, setFound] = useState<Map<string, string>>(new Map());

  useEffect(() => {
    const leaving = new AbortController();
    const add = ({ cid, contentType }: InlineImage, bytes: Blob) =>
      dataUrl(bytes, contentType).then((url) => {
        if (!leaving.signal.aborted) setFound((before) => new Map(before).set(cid, url));
      });
    for (const image of withinBounds(message.inlineImages)) {
      api
        .attachment(message.id, image.n, leaving.signal)
        .then((bytes) => add(image, bytes))
        // The text can be read without it, and the attachment's button says what is wrong.
        .catch(() => undefined);
    }
    return () => leaving.abort();
  }, [api, message]);

  return found;
}
