import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds the API and, on the same origin, the gateway. */
const backend = process.env["POSTWIRE_DEV_BACKEND"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  server: {
    proxy: { "/api": backend, "/socket.io": { target: backend, ws: true } },
  },
  // The page's Content-Security-Policy knows no data: fonts or scripts, so nothing is inlined.
  build: { assetsInlineLimit: 0 },
  test: {
    environment: "happy-dom",
    include: ["{tests,hooks/tests}/**/*.test.{ts,tsx}"],
    testTimeout: 40_000,
  },
});
