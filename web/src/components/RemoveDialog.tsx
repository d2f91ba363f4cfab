import type { Api } from "../api";
import type { Account } from "../model";
import { FormDialog } from "./FormDialog";

interface Props {
  api: Api;
  account: Account;
  onRemoved: () => void;
  onClose: () => void;
}

/** Says what goes and what stays before an account is removed. */
export function RemoveDialog({ api, account, onRemoved, onClose }: Props) {
  const remove = async () => {
    await api.removeAccount(account.id);
    onRemoved();
  };
  const credential = account.auth === "oauth" ? "the access that was granted" : "its password";
  return (
    <FormDialog
      title={`Remove ${account.address}?`}
      action="Remove account"
      working={() => "Removing…"}
      onSubmit={remove}
      onClose={onClose}
      dangerous
    >
      <p>
        <b>This goes:</b> the copy of its mail that is kept here, with attachments and search, and{" "}
        {credential}.
      </p>
      <p>
        <b>This stays:</b> everything on {account.host}. No message is deleted there, and the
        account can be added again.
      </p>
    </FormDialog>
  );
}
