import { useState } from "react";
import type { Api } from "../api";
import type { NewAccount, Security } from "../model";
import { FormDialog } from "./FormDialog";

interface Props {
  api: Api;
  onAdded: (accountId: string) => void;
  onClose: () => void;
}

/** The ports of RFC 8314 (implicit TLS) and RFC 9051 (cleartext and STARTTLS). */
const PORTS: Record<Security, number> = { tls: 993, starttls: 143, none: 143 };

export function AddAccountDialog({ api, onAdded, onClose }: Props) {
  const add = async (form: FormData) => onAdded((await api.addAccount(accountIn(form))).id);
  return (
    <FormDialog
      title="Add account"
      action="Add account"
      working="Signing in…"
      onSubmit={add}
      onClose={onClose}
    >
      <label>
        Email address
        <input name="address" type="email" required autoComplete="off" />
      </label>
      <label>
        Password
        <input name="password" type="password" required autoComplete="off" />
      </label>
      <ServerFields />
      <label>
        <span>
          Username <span className="muted">if it is not the address</span>
        </span>
        <input name="username" autoComplete="off" spellCheck={false} />
      </label>
    </FormDialog>
  );
}

/** Host, port and security; the port follows the security until somebody changes it. */
function ServerFields() {
  const [security, setSecurity] = useState<Security>("tls");
  const [port, setPort] = useState(String(PORTS.tls));
  const secure = (chosen: Security) => {
    if (port === String(PORTS[security])) setPort(String(PORTS[chosen]));
    setSecurity(chosen);
  };

  return (
    <>
      <div className="fields">
        <label>
          IMAP host
          <input name="host" required placeholder="imap.example.com" spellCheck={false} />
        </label>
        <label>
          Port
          <input
            name="port"
            type="number"
            min={1}
            max={65535}
            required
            value={port}
            onChange={(event) => setPort(event.target.value)}
          />
        </label>
      </div>
      <label>
        Security
        <select
          name="security"
          value={security}
          onChange={(event) => secure(event.target.value as Security)}
        >
          <option value="tls">TLS (recommended)</option>
          <option value="starttls">STARTTLS</option>
          <option value="none">None (unencrypted)</option>
        </select>
      </label>
    </>
  );
}

function accountIn(form: FormData): NewAccount {
  const field = (name: string) => String(form.get(name) ?? "");
  const username = field("username").trim();
  return {
    address: field("address").trim(),
    password: field("password"),
    host: field("host").trim(),
    port: Number(field("port")),
    security: field("security") as Security,
    ...(username && { username }),
  };
}
