import { useId, useState, type FormEvent } from "react";
import { cleanToken } from "../token";
import "./TokenScreen.css";

interface Props {
  reason: string | null;
  onToken: (token: string) => void;
}

export function TokenScreen({ reason, onToken }: Props) {
  const field = useId();
  const [pasted, setPasted] = useState("");
  const token = cleanToken(pasted);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (token) onToken(token);
  };

  return (
    <main className="token-screen" data-testid="token-screen">
      <form className="card" onSubmit={submit}>
        <h1 className="brand">Postwire</h1>
        <p>This inbox opens with an access token.</p>
        {reason && (
          <p className="notice trouble" role="alert">
            The last token was not accepted: {reason}
          </p>
        )}
        <label htmlFor={field}>Access token</label>
        <textarea
          id={field}
          rows={4}
          value={pasted}
          onChange={(event) => setPasted(event.target.value)}
          placeholder="eyJhbGciOiJIUzI1NiIs…"
          spellCheck={false}
          autoComplete="off"
        />
        <button type="submit" className="primary" disabled={!token}>
          Open the inbox
        </button>
        <section className="hint">
          <h2>Where to get one</h2>
          <p>
            The application that Postwire belongs to signs it for you, and usually opens this page
            with the token in the link (<code>#token=…</code>). The demo prints such a link when it
            starts. You may paste the whole link here.
          </p>
          <p>
            It is a JWT signed with HS256, with <code>aud</code> “postwire”, <code>sub</code> your
            user id, and <code>exp</code>. It stays in this browser tab only.
          </p>
        </section>
      </form>
    </main>
  );
}
