/** Milliseconds after which a browser has begun to save what it was given. */
const BEGUN_MS = 60_000;

/** Has the browser save `bytes` as a file of that name. */
export function saveAs(bytes: Blob, filename: string): void {
  // Without its type: nothing that was sent is ever opened on the page's own origin.
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), BEGUN_MS);
}
