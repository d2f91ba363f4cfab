import { useSocket, type SyncEvent } from "postwire-react";
import { useCallback, useEffect, useState } from "react";
import type { Api } from "../api";
import type { Job } from "../model";
import { pause } from "../pause";

/** What an account's sync is doing, in words; `busy` while it runs. */
export interface Activity {
  words: string;
  busy: boolean;
  failed: boolean;
}

/** By account id; null once there is nothing to say. */
export type Activities = Record<string, Activity | null>;

const POLL_MS = 1000;
/** A sync that takes longer is reported by the gateway's progress alone. */
const POLLS = 60;

/** The running syncs by account id, and how to start one. */
export function useSyncActivity(api: Api, refresh: () => Promise<void>) {
  const { on, off, onCatchUp } = useSocket();
  const [activities, setActivities] = useState<Activities>({});
  const tell = useCallback((accountId: string, activity: Activity | null) => {
    setActivities((before) => ({ ...before, [accountId]: activity }));
  }, []);

  useEffect(() => {
    const progress = (event: SyncEvent) => tell(event.accountId, progressOf(event));
    const failed = (event: SyncEvent) => tell(event.accountId, failure(event.error));
    const succeeded = (event: SyncEvent) => setActivities((all) => withoutFailure(all, event));
    on("sync:progress", progress);
    on("sync:failed", failed);
    on("email:synced", succeeded);
    return () => {
      off("sync:progress", progress);
      off("sync:failed", failed);
      off("email:synced", succeeded);
    };
  }, [on, off, tell]);

  // The end of a sync may have been told while the link was down: nothing is claimed after that.
  useEffect(() => onCatchUp(async () => setActivities({})), [onCatchUp]);

  const syncNow = useCallback(
    async (accountId: string) => {
      tell(accountId, { words: "Syncing…", busy: true, failed: false });
      try {
        const { jobId } = await api.sync(accountId);
        tell(accountId, outcomeOf(await finishedJob(api, jobId)));
        await refresh();
      } catch (error) {
        tell(accountId, failure((error as Error).message));
      }
    },
    [api, refresh, tell],
  );

  return { activities, syncNow };
}

function progressOf({ done = 0, total = 0 }: SyncEvent): Activity | null {
  if (done >= total) return null;
  return { words: `Fetching ${done} of ${total}…`, busy: true, failed: false };
}

function withoutFailure(all: Activities, { accountId }: SyncEvent): Activities {
  return all[accountId]?.failed ? { ...all, [accountId]: null } : all;
}

function failure(reason: string | undefined): Activity {
  return { words: reason || "The sync failed.", busy: false, failed: true };
}

function outcomeOf(job: Job | null): Activity | null {
  return job?.state === "failed" ? failure(job.error ?? undefined) : null;
}

/** The job once it has ended, or null where it takes longer than we ask. */
async function finishedJob(api: Api, jobId: string): Promise<Job | null> {
  for (let poll = 0; poll < POLLS; poll++) {
    const job = await api.job(jobId);
    if (job.state === "completed" || job.state === "failed") return job;
    await pause(POLL_MS);
  }
  return null;
}
