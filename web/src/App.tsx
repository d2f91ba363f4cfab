import { SocketProvider } from "postwire-react";
import { useCallback, useEffect, useMemo, useState } from "react";
import { createApi } from "./api";
import { Inbox } from "./components/Inbox";
import { TokenScreen } from "./components/TokenScreen";
import { dropToken, keepToken, takeToken } from "./token";

/** The inbox where a token is at hand, else the screen that asks for one. */
export function App() {
  const [token, setToken] = useState(takeToken);
  const [reason, setReason] = useState<string | null>(null);
  useHandedToken(setToken);

  const refuse = useCallback((words: string) => {
    dropToken();
    setReason(words);
    setToken(null);
  }, []);

  const api = useMemo(
    () => (token ? createApi({ token, onUnauthorized: refuse }) : null),
    [token, refuse],
  );

  const accept = (given: string) => {
    keepToken(given);
    setReason(null);
    setToken(given);
  };

  if (!api) return <TokenScreen reason={reason} onToken={accept} />;
  return (
    <SocketProvider api={api}>
      <Inbox api={api} />
    </SocketProvider>
  );
}

/** A link with a token may be opened in a tab that already shows the page. */
function useHandedToken(onToken: (token: string | null) => void): void {
  useEffect(() => {
    const take = () => onToken(takeToken());
    addEventListener("hashchange", take);
    return () => removeEventListener("hashchange", take);
  }, [onToken]);
}
