const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago, the way a list says it: `now`, `5 min`, `14:02`, `Tue`, `3 Mar`, `3 Mar 2024`. */
export function shortTime(iso: string, now: number, locale?: string): string {
  const then = new Date(iso);
  const age = now - then.getTime();
  if (Number.isNaN(age)) return "";
  if (age > -MINUTE && age < MINUTE) return "now";
  if (age > 0 && age < HOUR) return `${Math.floor(age / MINUTE)} min`;
  return then.toLocaleString(locale, shortForm(then, new Date(now)));
}

function shortForm(then: Date, now: Date): Intl.DateTimeFormatOptions {
  if (then.toDateString() === now.toDateString()) return { timeStyle: "short" };
  const age = now.getTime() - then.getTime();
  if (age > 0 && age < 6 * DAY) return { weekday: "short" };
  if (then.getFullYear() === now.getFullYear()) return { day: "numeric", month: "short" };
  return { day: "numeric", month: "short", year: "numeric" };
}

/** How long ago, in a sentence: `just now`, `5 minutes ago`, `yesterday`. */
export function ago(iso: string, now: number, locale?: string): string {
  const age = now - Date.parse(iso);
  if (age < MINUTE) return "just now";
  const words = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  if (age < HOUR) return words.format(-Math.floor(age / MINUTE), "minute");
  if (age < DAY) return words.format(-Math.floor(age / HOUR), "hour");
  return words.format(-Math.floor(age / DAY), "day");
}

/** When something is due, in a sentence: `now`, `in 5 minutes`, `tomorrow`. */
export function until(iso: string, now: number, locale?: string): string {
  const left = Date.parse(iso) - now;
  if (Number.isNaN(left) || left < MINUTE) return "now";
  const words = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  if (left < HOUR) return words.format(Math.round(left / MINUTE), "minute");
  if (left < DAY) return words.format(Math.round(left / HOUR), "hour");
  return words.format(Math.round(left / DAY), "day");
}

/** The whole date and time, for titles and the open message. */
export function fullTime(iso: string, locale?: string): string {
  const then = new Date(iso);
  if (Number.isNaN(then.getTime())) return "";
  return then.toLocaleString(locale, { dateStyle: "full", timeStyle: "short" });
}

/** How long something takes, roughly: `a few seconds`, `about 2 minutes`. */
export function duration(seconds: number, locale?: string): string {
  if (seconds < 10) return "a few seconds";
  const [count, unit] =
    seconds < 60
      ? [Math.round(seconds / 10) * 10, "second"]
      : seconds < 90 * 60
        ? [Math.round(seconds / 60), "minute"]
        : [Math.round(seconds / 3600), "hour"];
  const words = new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" });
  return `about ${words.format(count)}`;
}

/** A time of this day, such as `14:02`. */
export function clockTime(ms: number, locale?: string): string {
  return new Date(ms).toLocaleTimeString(locale, { timeStyle: "short" });
}
