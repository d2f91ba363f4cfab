import { useEffect, useRef, useState } from "react";
import type { Api, ApiError } from "../api";
import type { NewAccount, Security, Suggestion } from "../model";
import { Field } from "./Field";
import { FieldError, FormDialog } from "./FormDialog";

interface Props {
  api: Api;
  onAdded: (accountId: string) => void;
  onClose: () => void;
}

interface Server {
  host: string;
  port: string;
  security: Security;
  username: string;
}

/** The ports of RFC 8314 (implicit TLS) and RFC 9051 (cleartext and STARTTLS). */
const PORTS: Record<Security, string> = { tls: "993", starttls: "143", none: "143" };
const UNKNOWN: Server = { host: "", port: PORTS.tls, security: "tls", username: "" };

export function AddAccountDialog({ api, onAdded, onClose }: Props) {
  const { server, edit, found, looking, look, take } = useDiscovery(api);
  const cancelled = useRef(false);
  useEffect(() => {
    cancelled.current = false;
    return () => void (cancelled.current = true);
  }, []);
  const add = async (form: FormData) => {
    const address = String(form.get("address") ?? "").trim();
    // Who presses Enter in the first field has never left it.
    const used = await look(address);
    if (!used.host) {
      throw new FieldError("host", "No mail server was found for this address; write its name.");
    }
    const account = accountOf(address, String(form.get("password") ?? ""), used);
    const { id } = await api.addAccount(account);
    // The login takes its time, and whoever thought better of it meanwhile wants no account.
    await (cancelled.current ? api.removeAccount(id) : onAdded(id));
  };

  return (
    <FormDialog
      title="Add account"
      action="Add account"
      working={(seconds) => progress(seconds, server.host)}
      fieldOf={fieldOf}
      onSubmit={add}
      onClose={onClose}
    >
      <Field
        name="address"
        label="Email address"
        type="email"
        required
        spellCheck={false}
        onBlur={({ target }) => target.validity.valid && void look(target.value.trim())}
      />
      <Field name="password" label="Password" type="password" required />
      <Found found={found} looking={looking} server={server} onTake={take} />
      <details>
        <summary>Server settings</summary>
        <ServerFields server={server} onEdit={edit} />
      </details>
    </FormDialog>
  );
}

/** The server of an address, found while typing leaves it, until somebody writes it themselves. */
function useDiscovery(api: Api) {
  const [server, setServer] = useState<Server>(UNKNOWN);
  const [found, setFound] = useState<Suggestion[] | null>(null);
  const [looking, setLooking] = useState(false);
  const edited = useRef(false);
  const present = useRef<Server>(UNKNOWN);
  const last = useRef<{ address: string; server: Promise<Server> } | null>(null);

  const set = (next: Server) => {
    present.current = next;
    setServer(next);
    return next;
  };
  const find = async (address: string): Promise<Server> => {
    setLooking(true);
    setFound(null);
    try {
      const suggestions = await api.discover(address);
      // Meanwhile it may be another address that is asked for.
      if (last.current?.address !== address) return present.current;
      setFound(suggestions);
      return edited.current ? present.current : set(serverOf(suggestions[0], address));
    } catch {
      // Nothing is lost by it: the server can be written by hand.
      setFound([]);
      return present.current;
    } finally {
      if (last.current?.address === address) setLooking(false);
    }
  };
  const look = async (address: string): Promise<Server> => {
    if (!address) return present.current;
    if (last.current?.address !== address) {
      const asked = { address, server: Promise.resolve(present.current) };
      last.current = asked;
      asked.server = find(address);
    }
    await last.current.server;
    return present.current;
  };
  const edit = (change: Partial<Server>) => {
    edited.current = true;
    set({ ...present.current, ...change });
  };
  const take = (suggestion: Suggestion) => {
    set(serverOf(suggestion, last.current?.address ?? ""));
  };
  return { server, edit, found, looking, look, take };
}

interface FoundProps {
  found: Suggestion[] | null;
  looking: boolean;
  server: Server;
  onTake: (suggestion: Suggestion) => void;
}

/** What was found, in words, with what the provider wants to be known. */
function Found({ found, looking, server, onTake }: FoundProps) {
  const used = found?.find(({ host, port }) => host === server.host && `${port}` === server.port);
  const others = found?.filter((one) => one !== used) ?? [];
  return (
    <div className="found" aria-live="polite" data-testid="found">
      {looking && <p className="muted">Looking for the mail server…</p>}
      {found?.length === 0 && !server.host && (
        <p className="muted">No mail server was found; open the server settings and write it.</p>
      )}
      {used && (
        <p className="muted">
          {used.provider ? `${used.provider}: ` : "Mail server: "}
          {used.host}, port {used.port}, {SECURITY[used.security]}
        </p>
      )}
      {used?.note && (
        <p className="notice">
          {used.note}{" "}
          {used.help && (
            <a href={used.help} target="_blank" rel="noreferrer">
              More about it
            </a>
          )}
        </p>
      )}
      {others.length > 0 && (
        <p className="muted">
          Also found:{" "}
          {others.map((one) => (
            <button
              key={`${one.host}:${one.port}`}
              type="button"
              className="inline"
              onClick={() => onTake(one)}
            >
              {one.host}, port {one.port}
            </button>
          ))}
        </p>
      )}
    </div>
  );
}

const SECURITY: Record<Security, string> = {
  tls: "TLS",
  starttls: "STARTTLS",
  none: "unencrypted",
};

interface ServerFieldsProps {
  server: Server;
  onEdit: (change: Partial<Server>) => void;
}

/** Host, port and security; the port follows the security until somebody changes it. */
function ServerFields({ server, onEdit }: ServerFieldsProps) {
  const secure = (security: Security) => {
    const usual = server.port === PORTS[server.security];
    onEdit(usual ? { security, port: PORTS[security] } : { security });
  };
  return (
    <div className="server">
      <div className="fields">
        <Field
          name="host"
          label="IMAP host"
          placeholder="imap.example.com"
          spellCheck={false}
          value={server.host}
          onChange={({ target }) => onEdit({ host: target.value })}
        />
        <Field
          name="port"
          label="Port"
          inputMode="numeric"
          value={server.port}
          onChange={({ target }) => onEdit({ port: target.value })}
        />
      </div>
      <label>
        Security
        <select
          name="security"
          value={server.security}
          onChange={({ target }) => secure(target.value as Security)}
        >
          <option value="tls">TLS (recommended)</option>
          <option value="starttls">STARTTLS</option>
          <option value="none">None (unencrypted)</option>
        </select>
      </label>
      <Field
        name="username"
        label="Username"
        hint="if it is not the address"
        spellCheck={false}
        value={server.username}
        onChange={({ target }) => onEdit({ username: target.value })}
      />
    </div>
  );
}

function serverOf(suggestion: Suggestion | undefined, address: string): Server {
  if (!suggestion) return UNKNOWN;
  const { host, port, security, username } = suggestion;
  return { host, port: String(port), security, username: username === address ? "" : username };
}

function accountOf(address: string, password: string, server: Server): NewAccount {
  const port = Number(server.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new FieldError("port", "A port is a number from 1 to 65535.");
  }
  const username = server.username.trim();
  const { host, security } = server;
  return { address, password, host: host.trim(), port, security, ...(username && { username }) };
}

/** The API waits 15 s for the login; whoever waits is told what for. */
function progress(seconds: number, host: string): string {
  if (seconds < 4) return host ? `Signing in to ${host}…` : "Looking for the mail server…";
  if (seconds < 10) return `Still waiting for ${host}…`;
  return `${host} is slow. This ends within a few seconds, one way or the other.`;
}

/** Which field the API's refusal is about. */
export function fieldOf({ status, type, message }: ApiError): string | null {
  if (type === "/problems/login-failed") return "password";
  if (type === "/problems/server-unreachable") return "host";
  if (status === 409) return "address";
  const named = status === 400 ? /^(address|password|host|port|username)\b/.exec(message) : null;
  return named?.[1] ?? null;
}
