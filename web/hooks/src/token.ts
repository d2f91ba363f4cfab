/** The `sub` of a JWT, unverified: only the server decides what a token is worth. */
export function subjectOf(jwt: string): string | null {
  try {
    const payload = (jwt.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const claims: unknown = JSON.parse(atob(payload));
    return typeof claims === "object" && claims !== null && "sub" in claims
      ? String(claims.sub)
      : null;
  } catch {
    return null;
  }
}
