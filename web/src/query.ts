/** The filters of a search as a form has them, and as they stand in what is searched for. */

export interface Filters {
  words: string;
  from: string;
  to: string;
  subject: string;
  after: string;
  before: string;
  attachment: boolean;
  unread: boolean;
}

const FIELDS = ["from", "to", "subject", "after", "before"] as const;

/** What is searched for; what is empty asks for nothing. */
export function queryOf(filters: Filters): string {
  const named = FIELDS.map((name) => [name, filters[name].trim()] as const);
  return [
    filters.words.trim(),
    ...named.filter(([, value]) => value).map(([name, value]) => `${name}:${quoted(value)}`),
    filters.attachment ? "has:attachment" : "",
    filters.unread ? "is:unread" : "",
  ]
    .filter(Boolean)
    .join(" ");
}

/** A quote cannot stand between quotes. */
function quoted(value: string): string {
  const plain = value.replaceAll('"', " ").trim();
  return /\s/.test(plain) ? `"${plain}"` : plain;
}
