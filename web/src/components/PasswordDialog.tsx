import type { Api } from "../api";
import type { Account } from "../model";
import { FormDialog } from "./FormDialog";

interface Props {
  api: Api;
  account: Account;
  onChanged: () => void;
  onClose: () => void;
}

/** For an account whose server no longer takes the password. */
export function PasswordDialog({ api, account, onChanged, onClose }: Props) {
  const change = async (form: FormData) => {
    await api.changePassword(account.id, String(form.get("password") ?? ""));
    onChanged();
  };
  return (
    <FormDialog
      title="New password"
      action="Save password"
      working="Saving…"
      onSubmit={change}
      onClose={onClose}
    >
      <label>
        <span>
          Password <span className="muted">of {account.address}</span>
        </span>
        <input name="password" type="password" required autoComplete="off" />
      </label>
    </FormDialog>
  );
}
