import type { Position } from "./model.js";

/** Whether `a` is further than `b`. */
export function isAfter(a: Position, b: Position): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.revision > b.revision);
}

export function isSame(a: Position, b: Position): boolean {
  return a.epoch === b.epoch && a.revision === b.revision;
}
