/** Events for tests; each test says only what it is about. */

import type { SyncEvent } from "../src/model";

let revision = 0;

export function syncEvent(more: Partial<SyncEvent> = {}): SyncEvent {
  return {
    accountId: "a1",
    userId: "u1",
    emailAddress: "mara@example.com",
    count: 1,
    timestamp: "2025-06-01T00:00:00Z",
    type: "push",
    epoch: 1,
    revision: ++revision,
    receivedAt: null,
    ...more,
  };
}
