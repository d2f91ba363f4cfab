/** What the page says about people, messages and sizes. */

import type { Conversation, MessageSummary, Person } from "./model";

export function nameOf(person: Person | undefined): string {
  return person?.name.trim() || person?.address || "";
}

/** Who a row is about: the sender, or the recipients of mail that was sent. */
export function correspondent(message: MessageSummary): string {
  if (message.direction === "inbound") return nameOf(message.from[0]) || "Unknown sender";
  return `To: ${message.to.map(nameOf).join(", ") || "nobody"}`;
}

/** Names of a conversation that a row has room for. */
const NAMES = 3;

/** Who a conversation is with: those who write in it, or whom its owner alone writes to. */
export function participantsOf(conversation: Conversation, own: ReadonlySet<string>): string {
  const others = ({ address }: Person) => !own.has(address);
  const senders = conversation.senders.filter(others);
  if (senders.length) return namesOf(senders);
  const written = conversation.participants.filter(others);
  if (written.length) return `To: ${namesOf(written)}`;
  return namesOf(conversation.senders) || "Unknown sender";
}

function namesOf(people: Person[]): string {
  const named = people.map(nameOf).filter(Boolean);
  const shown = named.slice(0, NAMES).join(", ");
  return named.length > NAMES ? `${shown} +${named.length - NAMES}` : shown;
}

export function subjectOf({ subject }: { subject: string }): string {
  return subject.trim() || "(no subject)";
}

/** What the toast says; the sender is named where one message came and its sender is known. */
export function arrivalWords(count: number, sender?: string): string {
  if (count !== 1) return `${count} new emails received`;
  return sender ? `1 new email from ${sender}` : "1 new email received";
}

/** A size in bytes as people read it: `812 B`, `24 KB`, `3.1 MB`. */
export function sizeWords(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${Math.round(bytes / 1000)} KB`;
  if (bytes < 999_950_000) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
