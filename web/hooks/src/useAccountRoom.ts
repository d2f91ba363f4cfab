import { useEffect } from "react";
import { useSocket } from "./useSocket.js";

/** Keeps an account's room joined while the component lives; null joins none. */
export function useAccountRoom(accountId: string | null): void {
  const { joinRoom, leaveRoom } = useSocket();
  useEffect(() => {
    if (accountId === null) return;
    void joinRoom({ accountId });
    return () => void leaveRoom({ accountId });
  }, [accountId, joinRoom, leaveRoom]);
}
