import { pause } from "./pause.js";

/**
 * Wraps work that refetches: runs never overlap, begin at least `gapMs` apart, and all calls made
 * during a run share the one run that follows it. A burst of events costs two runs, and the last
 * event is always followed by a whole one.
 */
export function coalesce(work: () => Promise<void>, gapMs: number): () => Promise<void> {
  let running: Promise<void> | null = null;
  let following: Promise<void> | null = null;

  function start(): Promise<void> {
    const gap = pause(gapMs);
    const run = work();
    running = run
      .catch(() => undefined)
      .then(() => gap)
      .finally(() => (running = null));
    return run;
  }

  return () => {
    if (!running) return start();
    following ??= running.then(() => {
      following = null;
      return start();
    });
    return following;
  };
}
