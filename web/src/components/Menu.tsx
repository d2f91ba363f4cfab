import { type ReactNode, type ToggleEvent, useId, useRef } from "react";
import "./Menu.css";

interface Props {
  /** What the button is for, read aloud; what it shows. */
  label: string;
  face: ReactNode;
  className?: string;
  children: ReactNode;
}

/** Pixels between the button and what it opens, and the edge of the window. */
const GAP = 4;

/**
 * A button that unfolds something small. It is the browser that closes it, by Escape or a click
 * elsewhere, and gives the focus back; a click on a button inside closes it as well.
 */
export function Menu({ label, face, className = "", children }: Props) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const panel = useRef<HTMLDivElement>(null);

  const toggled = ({ newState }: ToggleEvent<HTMLDivElement>) => {
    if (newState !== "open" || !button.current || !panel.current) return;
    place(panel.current, button.current);
    panel.current.querySelector<HTMLElement>("button, input")?.focus();
  };

  return (
    <>
      <button
        ref={button}
        type="button"
        className={`menu-button ${className}`}
        aria-label={label}
        title={label}
        popoverTarget={id}
      >
        {face}
      </button>
      {/* The buttons inside are what is operated; this hears of their clicks. */}
      {/* oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-static-element-interactions */}
      <div
        ref={panel}
        id={id}
        popover="auto"
        className="menu"
        onToggle={toggled}
        onClick={({ target }) =>
          target instanceof HTMLButtonElement && panel.current?.hidePopover()
        }
      >
        {children}
      </div>
    </>
  );
}

/** Below the button, or above it where there is no room; always inside the window. */
function place(panel: HTMLElement, button: HTMLElement): void {
  const at = button.getBoundingClientRect();
  const { offsetWidth, offsetHeight } = panel;
  const below = at.bottom + GAP;
  const fits = below + offsetHeight + GAP <= innerHeight;
  const left = Math.min(at.left, innerWidth - offsetWidth - GAP);
  panel.style.left = `${Math.max(GAP, left)}px`;
  panel.style.top = `${fits ? below : Math.max(GAP, at.top - GAP - offsetHeight)}px`;
}
