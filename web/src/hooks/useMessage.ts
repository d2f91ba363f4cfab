import { useEffect, useState } from "react";
import type { Api } from "../api";
import type { Message } from "../model";

interface Loaded {
  /** What was asked for; an answer to anything else is not shown. */
  request: string;
  message?: Message;
  error?: Error;
}

/** One whole message; both fields are undefined while it is being fetched. */
export function useMessage(api: Api, id: string) {
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [attempt, setAttempt] = useState(0);
  const request = `${attempt}/${id}`;

  useEffect(() => {
    const leaving = new AbortController();
    const settle = (result: Omit<Loaded, "request">) => {
      if (!leaving.signal.aborted) setLoaded({ request, ...result });
    };
    api.message(id, leaving.signal).then(
      (message) => settle({ message }),
      (error: Error) => settle({ error }),
    );
    return () => leaving.abort();
  }, [api, id, request]);

  const current = loaded?.request === request ? loaded : null;
  const retry = () => setAttempt((n) => n + 1);
  return { message: current?.message, error: current?.error, retry };
}
