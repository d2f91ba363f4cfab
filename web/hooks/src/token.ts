/** What a realtime token says of itself, unverified: only the gateway decides what it is worth. */

/** Whose token it is. */
export function subjectOf(jwt: string): string | null {
  const { sub } = claimsOf(jwt);
  return sub === undefined ? null : String(sub);
}

/** Milliseconds it lives from when it was made, by its maker's clock; null where it does not say. */
export function lifetimeOf(jwt: string): number | null {
  const { iat, exp } = claimsOf(jwt);
  return typeof iat === "number" && typeof exp === "number" ? (exp - iat) * 1000 : null;
}

function claimsOf(jwt: string): Record<string, unknown> {
  try {
    const payload = (jwt.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const claims: unknown = JSON.parse(atob(payload));
    return typeof claims === "object" && claims !== null ? (claims as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
