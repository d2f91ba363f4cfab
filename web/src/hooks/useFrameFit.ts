import { useCallback, useEffect, useRef } from "react";

/** Pixels of the tallest frame; a longer letter scrolls within it. */
const TALLEST = 30_000;
/** Changes of height at one width: what grows with its frame would grow for ever. */
const CHANGES = 60;

/**
 * Makes a frame as tall as the letter in it, and hands the keys pressed in it on to the page. The
 * letter runs no script: it is looked at from here.
 */
export function useFrameFit() {
  const stop = useRef<() => void>(() => undefined);
  useEffect(() => () => stop.current(), []);
  return useCallback((frame: HTMLIFrameElement) => {
    stop.current();
    const body = frame.contentDocument?.body;
    if (!body) return;
    const fit = fitter(frame, body);
    const watcher = new ResizeObserver(fit);
    watcher.observe(body);
    body.ownerDocument.addEventListener("keydown", handOn);
    fit();
    stop.current = () => watcher.disconnect();
  }, []);
}

function fitter(frame: HTMLIFrameElement, body: HTMLElement): () => void {
  let width = 0;
  let changes = 0;
  return () => {
    if (frame.clientWidth !== width) changes = 0;
    width = frame.clientWidth;
    if (++changes > CHANGES) return;
    const scrollbar = body.scrollWidth > width ? 20 : 0;
    const height = Math.ceil(body.getBoundingClientRect().height) + scrollbar;
    frame.style.height = `${Math.min(height, TALLEST)}px`;
  };
}

function handOn({ key, ctrlKey, metaKey, altKey }: KeyboardEvent): void {
  document.body.dispatchEvent(
    new KeyboardEvent("keydown", { key, ctrlKey, metaKey, altKey, bubbles: true }),
  );
}
