import { useEffect, useState } from "react";

/** The time in ms, renewed every half minute, so that "5 min" does not stay so for an hour. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
