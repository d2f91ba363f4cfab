export { coalesce } from "./coalesce.js";
export type { LinkStatus, Listener } from "./link.js";
export type { RealtimeApi, RealtimeToken, Room, RoomAck, SyncEvent } from "./model.js";
export { SocketProvider } from "./SocketProvider.js";
export { useAccountRoom } from "./useAccountRoom.js";
export { useEmailUpdates, type EmailUpdates } from "./useEmailUpdates.js";
export { useSocket, type SocketHandle } from "./useSocket.js";
