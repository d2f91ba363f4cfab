const ADDRESS = /https?:\/\/[^\s<>"']+/g;
/** What ends a sentence rather than an address. */
const TRAILING = ".,;:!?)]}";

export interface TextPart {
  text: string;
  href?: string;
  /** Where the part begins in the whole text. */
  at: number;
}

/** Plain text cut into what is said and the http(s) addresses in it. */
export function linkParts(text: string): TextPart[] {
  const parts: TextPart[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const href = withoutTrailing(match[0]);
    if (match.index > end) parts.push({ text: text.slice(end, match.index), at: end });
    parts.push({ text: href, href, at: match.index });
    end = match.index + href.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), at: end });
  return parts;
}

/** Cut from the end by hand: the regular expression for it is quadratic on hostile text. */
function withoutTrailing(address: string): string {
  let end = address.length;
  while (end > 0 && TRAILING.includes(address.charAt(end - 1))) end--;
  return address.slice(0, end);
}
