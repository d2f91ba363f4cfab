import { type SyncEvent, useSocket } from "postwire-react";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Api } from "../api";
import type { Job } from "../model";
import { pause } from "../pause";
import { foundWords, jobWords, progressWords } from "../standing";

/** What an account's sync is doing, in words; `busy` while it runs. */
export interface Activity {
  words: string;
  busy: boolean;
  failed: boolean;
  /** Messages stored, of all that the sync is to fetch; null where it does not say. */
  progress: { done: number; total: number } | null;
}

/** By account id; null once there is nothing to say. */
export type Activities = Record<string, Activity | null>;

/** Milliseconds between two looks at a job: the first ones, and later on. */
const LOOK_MS = 700;
const LATER_MS = 5000;
/** Looks at one job; a sync that takes longer is told by the gateway's progress alone. */
const LOOKS = 200;
/** How long after its last batch a sync is noted down as done; nobody is told of that. */
const SETTLED_MS = 2000;
/** How long it is said what a sync found. */
const FOUND_MS = 20_000;

/** The running syncs by account id, and how to start one. */
export function useSyncActivity(api: Api, refresh: () => Promise<void>) {
  const { on, off, onCatchUp } = useSocket();
  const [activities, setActivities] = useState<Activities>({});
  const gone = useRef(false);
  const tell = useCallback((accountId: string, activity: Activity | null) => {
    setActivities((before) => ({ ...before, [accountId]: activity }));
  }, []);

  useEffect(() => {
    gone.current = false;
    return () => void (gone.current = true);
  }, []);

  useEffect(() => {
    const progress = (event: SyncEvent) => {
      const activity = progressOf(event);
      tell(event.accountId, activity);
      if (!activity)
        void pause(SETTLED_MS)
          .then(refresh)
          .catch(() => undefined);
    };
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
  }, [on, off, tell, refresh]);

  // The end of a sync may have been told while the link was down: nothing is claimed after that.
  useEffect(() => onCatchUp(async () => setActivities({})), [onCatchUp]);

  const syncNow = useCallback(
    async (accountId: string) => {
      const doing = (words: string) =>
        setActivities((all) => ({ ...all, [accountId]: onTheWay(all[accountId], words) }));
      doing("Looking for new mail…");
      try {
        const { jobId } = await api.sync(accountId);
        const job = await ended(api, jobId, (open) => doing(jobWords(open)), gone);
        tell(accountId, outcomeOf(job));
        await refresh();
        if (job?.state !== "completed") return;
        await pause(FOUND_MS);
        setActivities((all) => (all[accountId]?.busy ? all : { ...all, [accountId]: null }));
      } catch (error) {
        tell(accountId, failure((error as Error).message));
      }
    },
    [api, refresh, tell],
  );

  return { activities, syncNow };
}

function progressOf({ done = 0, total = 0, left }: SyncEvent): Activity | null {
  if (done >= total) return null;
  const words = progressWords(done, total, left ?? null);
  return { words, busy: true, failed: false, progress: { done, total } };
}

/** What a job says of itself is less than the progress that was told already. */
function onTheWay(before: Activity | null | undefined, words: string): Activity {
  if (before?.busy && before.progress) return before;
  return { words, busy: true, failed: false, progress: null };
}

function withoutFailure(all: Activities, { accountId }: SyncEvent): Activities {
  return all[accountId]?.failed ? { ...all, [accountId]: null } : all;
}

function failure(reason: string | undefined): Activity {
  return { words: reason || "The sync failed.", busy: false, failed: true, progress: null };
}

function outcomeOf(job: Job | null): Activity | null {
  if (job?.state === "failed") return failure(job.error ?? undefined);
  if (job?.state !== "completed") return null;
  return { words: foundWords(job.found), busy: false, failed: false, progress: null };
}

/** The job once it has ended; null where it takes longer than we look, or nobody looks any more. */
async function ended(
  api: Api,
  jobId: string,
  observe: (open: Job) => void,
  gone: { current: boolean },
): Promise<Job | null> {
  for (let look = 0; look < LOOKS && !gone.current; look++) {
    const job = await api.job(jobId);
    if (job.state === "completed" || job.state === "failed") return job;
    observe(job);
    await pause(look < 20 ? LOOK_MS : LATER_MS);
  }
  return null;
}
