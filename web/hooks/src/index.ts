export { coalesce } from "./coalesce.js";
export type { Account, OnChanges } from "./follower.js";
export type { LinkStatus, Listener } from "./link.js";
export type {
  AccountChanges,
  AccountPosition,
  ChangesPage,
  MessageSummary,
  Person,
  Position,
  PostwireApi,
  RealtimeToken,
  Room,
  RoomAck,
  SyncEvent,
} from "./model.js";
export { changesPath, restApi, RestError } from "./restApi.js";
export { SocketProvider } from "./SocketProvider.js";
export { useAccountRoom } from "./useAccountRoom.js";
export { useChanges } from "./useChanges.js";
export { useEmailUpdates, type EmailUpdates } from "./useEmailUpdates.js";
export { useSocket, type SocketHandle } from "./useSocket.js";
