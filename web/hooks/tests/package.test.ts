// @vitest-environment node
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const HOOKS = join(import.meta.dirname, "..");
const MODULES = join(HOOKS, "../node_modules");
const APP = `
import { restApi, SocketProvider, useChanges, useEmailUpdates } from "postwire-react";
import type { AccountChanges, LinkStatus } from "postwire-react";

const api = restApi("https://mail.example.com", async () => "bearer");

function Badge() {
  const { newEmailCount, status }: { newEmailCount: number; status: LinkStatus } = useEmailUpdates();
  useChanges(["a1"], async (batch: AccountChanges[]) => void batch.map(({ added }) => added[0]?.subject));
  return <b title={status}>{newEmailCount}</b>;
}

export const App = () => <SocketProvider api={api}><Badge /></SocketProvider>;
`;

const run = promisify(execFile);
let app: string;
let packed: string[];

/** An app of somebody else's: nothing of ours but the packed package is in it. */
beforeAll(async () => {
  app = await mkdtemp(join(tmpdir(), "postwire-app-"));
  await mkdir(join(app, "node_modules/@types"), { recursive: true });
  for (const name of ["react", "@types/react", "csstype", "socket.io-client"]) {
    await symlink(join(MODULES, name), join(app, "node_modules", name));
  }
  const npm = process.env["npm_execpath"];
  const pack = ["pack", "--ignore-scripts", "--pack-destination", app];
  await (npm
    ? run(process.execPath, [npm, ...pack], { cwd: HOOKS })
    : run("npm", pack, { cwd: HOOKS }));
  const archive = (await readdir(app)).find((name) => name.endsWith(".tgz"));
  await run("tar", ["-xzf", archive!], { cwd: app });
  packed = await readdir(join(app, "package"), { recursive: true });
  await cp(join(app, "package"), join(app, "node_modules/postwire-react"), { recursive: true });
  await writeFile(join(app, "package.json"), '{"name": "app", "type": "module"}');
  await writeFile(join(app, "App.tsx"), APP);
}, 60_000);

afterAll(() => rm(app, { recursive: true }));

describe("another app", () => {
  test.each([
    ["NodeNext", "NodeNext"],
    ["ESNext", "bundler"],
  ])(
    "finds the types, by %s and %s",
    async (module, moduleResolution) => {
      const options = { module, moduleResolution, strict: true, noEmit: true, jsx: "react-jsx" };
      const compilerOptions = { ...options, target: "ES2022", types: [], skipLibCheck: false };
      await writeFile(
        join(app, "tsconfig.json"),
        JSON.stringify({ compilerOptions, include: ["App.tsx"] }),
      );
      const tsc = join(MODULES, "typescript/bin/tsc");
      const { stdout } = await run(process.execPath, [tsc, "-p", app]);
      expect(stdout).toBe("");
    },
    60_000,
  );

  test("bundles it, with one React: its own", async () => {
    const script = `
      const { build } = await import(${JSON.stringify(join(MODULES, "vite/dist/node/index.js"))});
      await build({ root: ".", logLevel: "error", build: {
        lib: { entry: "App.tsx", formats: ["es"], fileName: "app" },
        rollupOptions: { external: [/^react/] } } });`;
    await run(process.execPath, ["--input-type=module", "-e", script], { cwd: app });
    const bundle = await readFile(join(app, "dist/app.js"), "utf8");
    expect(bundle).toContain("realtime-token");
    expect(bundle).toMatch(/from\s*"react"/);
  }, 60_000);

  test("gets the built code, the licence and the words, and no tests", () => {
    expect(packed).toEqual(expect.arrayContaining(["LICENSE", "README.md", "dist/index.d.ts"]));
    expect(packed.filter((name) => name.startsWith("src") || name.includes("test"))).toEqual([]);
  });
});
