/** How often we look at the clock, and how late a look has to be: hidden tabs have few timers. */
const LOOK_EVERY_MS = 15_000;
const SLEPT_MS = 90_000;

/** Calls `wake` where the machine is online again, and where it seems to have slept. */
export function watchForSleep(wake: () => void): () => void {
  let looked = Date.now();
  const look = setInterval(() => {
    const slept = Date.now() - looked > SLEPT_MS;
    looked = Date.now();
    if (slept) wake();
  }, LOOK_EVERY_MS);
  addEventListener("online", wake);
  return () => {
    clearInterval(look);
    removeEventListener("online", wake);
  };
}
