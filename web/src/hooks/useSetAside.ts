import { useCallback, useEffect, useState } from "react";
import type { Api } from "../api";
import type { Aside } from "../model";
import { useMailChanges } from "./MailChanges";

/** Milliseconds after which most of what is tried again has been. */
const TRIED_MS = 5000;

/** The messages of an account that were set aside, and how to have them tried again. */
export function useSetAside(api: Api, accountId: string) {
  const [aside, setAside] = useState<Aside[]>([]);
  const refetch = useCallback(async () => {
    // The list of mail is no worse for not knowing.
    setAside(await api.setAside(accountId).catch(() => []));
  }, [api, accountId]);
  useEffect(() => {
    // What it sets comes from outside, later.
    // oxlint-disable-next-line react/set-state-in-effect
    void refetch();
  }, [refetch]);
  useMailChanges(refetch);
  const retry = async () => {
    await api.retrySetAside(accountId);
    setTimeout(() => void refetch(), TRIED_MS);
  };
  return { aside, retry };
}
