import { useEffect, useRef, useState, type FormEvent } from "react";
import type { Api } from "../api";
import type { NewAccount, Security } from "../model";

interface Props {
  api: Api;
  onAdded: (accountId: string) => void;
  onClose: () => void;
}

/** The ports of RFC 8314 (implicit TLS) and RFC 9051 (cleartext and STARTTLS). */
const PORTS: Record<Security, number> = { tls: 993, starttls: 143, none: 143 };

export function AddAccountDialog({ api, onAdded, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [security, setSecurity] = useState<Security>("tls");
  const [port, setPort] = useState(String(PORTS.tls));
  const { busy, problem, add } = useAdding(api, onAdded);
  useEffect(() => dialog.current?.showModal(), []);

  const secure = (chosen: Security) => {
    if (port === String(PORTS[security])) setPort(String(PORTS[chosen]));
    setSecurity(chosen);
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    void add(accountIn(new FormData(event.currentTarget)));
  };

  return (
    <dialog ref={dialog} className="card dialog" aria-labelledby="add-title" onClose={onClose}>
      <form onSubmit={submit}>
        <h2 id="add-title">Add account</h2>
        <label>
          Email address
          <input name="address" type="email" required autoComplete="off" />
        </label>
        <label>
          Password
          <input name="password" type="password" required autoComplete="off" />
        </label>
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
        <label>
          <span>
            Username <span className="muted">if it is not the address</span>
          </span>
          <input name="username" autoComplete="off" spellCheck={false} />
        </label>
        {problem && (
          <p className="notice trouble" role="alert" data-testid="add-problem">
            {problem}
          </p>
        )}
        <div className="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy}>
            {busy ? "Signing in…" : "Add account"}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function useAdding(api: Api, onAdded: (accountId: string) => void) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const add = async (account: NewAccount) => {
    setBusy(true);
    setProblem(null);
    try {
      onAdded((await api.addAccount(account)).id);
    } catch (error) {
      setProblem((error as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, add };
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
