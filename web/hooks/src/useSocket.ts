import { useSyncExternalStore } from "react";
import type { LinkStatus, Listener } from "./link.js";
import type { Room, RoomAck } from "./model.js";
import { useLink } from "./useLink.js";

export interface SocketHandle {
  isConnected: boolean;
  /** `live` once everything missed has been fetched; `catching-up` before; `stale` offline. */
  status: LinkStatus;
  /** Resolves with the gateway's answer; the room is kept through reconnects. */
  joinRoom: (room: Room) => Promise<RoomAck>;
  leaveRoom: (room: Room) => Promise<RoomAck>;
  on: (event: string, listener: Listener) => void;
  off: (event: string, listener: Listener) => void;
  /** Registers a refetch to run after each connect and `resync`; returns its removal. */
  onCatchUp: (refetch: () => Promise<void>) => () => void;
}

/** The connection to the gateway. The functions keep their identity between renders. */
export function useSocket(): SocketHandle {
  const link = useLink();
  const status = useSyncExternalStore(link.observe, () => link.status);
  const isConnected = useSyncExternalStore(link.observe, () => link.isConnected);
  const { join: joinRoom, leave: leaveRoom, on, off, onCatchUp } = link;
  return { isConnected, status, joinRoom, leaveRoom, on, off, onCatchUp };
}
