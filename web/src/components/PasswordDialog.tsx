import type { Api } from "../api";
import type { Account } from "../model";
import { pause } from "../pause";
import { Field } from "./Field";
import { FieldError, FormDialog } from "./FormDialog";

interface Props {
  api: Api;
  account: Account;
  onChanged: () => void;
  onClose: () => void;
}

/** How often, and at most how many times, it is asked how the login went. */
const LOOK_MS = 500;
const LOOKS = 40;

/** For an account whose server no longer takes the password. */
export function PasswordDialog({ api, account, onChanged, onClose }: Props) {
  const change = async (form: FormData) => {
    await api.changePassword(account.id, String(form.get("password") ?? ""));
    const tried = await settled(api, account.id);
    if (tried?.state === "auth_failed") {
      throw new FieldError("password", tried.stateReason ?? "The mail server refused it.");
    }
    onChanged();
  };
  return (
    <FormDialog
      title="New password"
      action="Save password"
      working={(seconds) =>
        seconds < 5 ? `Signing in to ${account.host}…` : `Still waiting for ${account.host}…`
      }
      onSubmit={change}
      onClose={onClose}
    >
      <p className="muted">
        The password that {account.host} takes for <b>{account.username}</b> from now on.
      </p>
      <Field name="password" label="Password" type="password" required />
    </FormDialog>
  );
}

/** The account once its login was tried; as it is where that takes longer than anybody waits. */
async function settled(api: Api, id: string): Promise<Account | null> {
  for (let look = 0; look < LOOKS; look++) {
    const account = await api.account(id);
    if (account.state !== "connecting") return account;
    await pause(LOOK_MS);
  }
  return null;
}
