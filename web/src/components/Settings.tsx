import { type ReactNode, useState } from "react";
import { mayNotify } from "../hooks/useNotifications";
import { usePreferences } from "../hooks/usePreferences";
import { prefer, type Theme } from "../preferences";
import { Menu } from "./Menu";
import "./Settings.css";

const THEMES: Record<Theme, string> = { system: "As the system", light: "Light", dark: "Dark" };

/** What a person can set for this browser. */
export function Settings() {
  return (
    <Menu label="Settings" face={<Gear />}>
      <div className="settings">
        <ThemeChoice />
        <NotificationChoice />
      </div>
    </Menu>
  );
}

function ThemeChoice() {
  const { theme } = usePreferences();
  return (
    <fieldset>
      <legend>Colours</legend>
      {Object.entries(THEMES).map(([value, words]) => (
        <Choice
          key={value}
          type="radio"
          name="theme"
          checked={theme === value}
          onChange={() => prefer({ theme: value as Theme })}
        >
          {words}
        </Choice>
      ))}
    </fieldset>
  );
}

/** The browser is asked by the click alone, never when the page opens. */
function NotificationChoice() {
  const { notify } = usePreferences();
  const [refused, setRefused] = useState(false);
  if (!("Notification" in window)) return null;

  const change = async (wanted: boolean) => {
    const allowed = wanted && (await Notification.requestPermission()) === "granted";
    setRefused(wanted && !allowed);
    prefer({ notify: allowed });
  };
  return (
    <fieldset>
      <legend>New mail</legend>
      <Choice
        type="checkbox"
        name="notify"
        checked={notify && mayNotify()}
        onChange={(checked) => void change(checked)}
      >
        Show it on the desktop
      </Choice>
      <p className="muted" aria-live="polite">
        {refused
          ? "This browser does not allow it. Its settings for this page can change that."
          : "Sender and subject, while this page is not in view."}
      </p>
    </fieldset>
  );
}

interface ChoiceProps {
  type: "radio" | "checkbox";
  name: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  children: ReactNode;
}

function Choice({ type, name, checked, onChange, children }: ChoiceProps) {
  return (
    <label>
      <input
        type={type}
        name={name}
        checked={checked}
        onChange={({ target }) => onChange(target.checked)}
      />
      {children}
    </label>
  );
}

function Gear() {
  return (
    <svg viewBox="0 0 20 20" aria-hidden="true">
      <path d="M8.6 1.5h2.8l.4 2.2 1.3.6 1.9-1.3 2 2-1.3 1.9.6 1.3 2.2.4v2.8l-2.2.4-.6 1.3 1.3 1.9-2 2-1.9-1.3-1.3.6-.4 2.2H8.6l-.4-2.2-1.3-.6L5 17l-2-2 1.300-1.900-.6-1.300-2.200-.4V8.600l2.200-.4.6-1.300L3 5l2-2 1.900 1.300 1.300-.6zM10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6z" />
    </svg>
  );
}
