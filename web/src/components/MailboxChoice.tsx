import type { Api } from "../api";
import { useMailboxes } from "../hooks/useMailboxes";
import { ANY_MAILBOX } from "../hooks/useRoute";
import "./MailboxChoice.css";

interface Props {
  api: Api;
  accountId: string | null;
  mailbox: string | null;
  onChoose: (mailbox: string | null) => void;
}

/** Which mailbox is on show; with all accounts on show only what each of them has. */
export function MailboxChoice({ api, accountId, mailbox, onChoose }: Props) {
  const mailboxes = useMailboxes(api, accountId);
  const names = mailboxes.map(({ name }) => name).filter((name) => name !== "INBOX");
  if (mailbox && mailbox !== ANY_MAILBOX && !names.includes(mailbox)) names.push(mailbox);
  return (
    <select
      className="mailbox-choice"
      aria-label="Mailbox"
      value={mailbox ?? ""}
      onChange={(event) => onChoose(event.target.value || null)}
    >
      <option value="">Inbox</option>
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
      <option value={ANY_MAILBOX}>All mail</option>
    </select>
  );
}
