/** What an answer repeats of the letter it answers: people fold it away. */

/** The line with which Outlook and its like begin what they repeat. */
const SEPARATOR =
  /^(?:-{2,} ?(?:Original Message|Ursprüngliche Nachricht|Message d'origine) ?-{2,}|_{20,})\s*$/i;

export interface Folded {
  text: string;
  /** Empty where nothing is repeated at the end. */
  quote: string;
}

/** The text without the quote at its end; one between the lines of an answer belongs to it. */
export function foldQuote(text: string): Folded {
  const lines = text.split("\n");
  const start = separated(lines) ?? quoted(lines);
  const said = lines.slice(0, start).join("\n").trimEnd();
  // A letter that only passes something on would be empty.
  if (start === undefined || !said) return { text, quote: "" };
  return { text: said, quote: lines.slice(start).join("\n").trim() };
}

function separated(lines: string[]): number | undefined {
  const found = lines.findIndex((line) => SEPARATOR.test(line));
  return found < 0 ? undefined : found;
}

function quoted(lines: string[]): number | undefined {
  let start = lines.length;
  let seen = false;
  while (start > 0 && /^(?:>|\s*$)/.test(lines[start - 1] ?? "")) {
    start--;
    seen ||= (lines[start] ?? "").startsWith(">");
  }
  return seen ? withAttribution(lines, start) : undefined;
}

/** "On Tuesday Anna wrote:" belongs to the quote; mail programs break it into two lines at most. */
function withAttribution(lines: string[], start: number): number {
  if (!/:\s*$/.test(lines[start - 1] ?? "")) return start;
  const before = lines[start - 2] ?? "";
  return before.trim() && !(lines[start - 3] ?? "").trim() ? start - 2 : start - 1;
}
