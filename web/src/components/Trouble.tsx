/** What went wrong, and a button to try it again. */
export function Trouble(props: { what: string; error: Error; retry: () => void }) {
  const { what, error, retry } = props;
  return (
    <p className="notice trouble" role="alert">
      {what} {error.message}{" "}
      <button type="button" className="inline" onClick={retry}>
        Try again
      </button>
    </p>
  );
}
