import "./LoadingLetter.css";

/** As tall as a short letter, so that little moves when the letter comes. */
export function LoadingLetter() {
  return (
    <div className="loading-letter" aria-busy="true">
      <span className="hidden">Loading the message…</span>
      <span />
      <span />
      <span />
    </div>
  );
}
