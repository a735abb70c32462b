import { execFileSync, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { results, serverFolder, serverMain, serverNode } from './paths';

/** Built-in extensions that the tests need. Without git, TypeScript and the like the extension host starts much faster. */
const builtIns = ['theme-defaults', 'theme-seti', 'yaml', 'json', 'python'];

/** User settings of every test; a test adds its own. */
const quietSettings = {
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.colorTheme': 'Dark Modern',
  'workbench.welcomePage.walkthroughs.openOnInstall': false,
  'chat.disableAIFeatures': true,
  'editor.minimap.enabled': false,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'git.enabled': false,
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'window.autoDetectColorScheme': false,
  'window.autoDetectHighContrast': false,
} satisfies Record<string, unknown>;

/** The environment without what would leak from an editor around the tests; no marketplace, so nothing asks the network. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('VSCODE_') && name !== 'NODE_OPTIONS');
  return { ...Object.fromEntries(entries), EXTENSIONS_GALLERY: '{}' };
}

/** Folders of one test file: user data, extensions, workspace, screenshots. Made afresh; nothing is shared between files. */
export interface Scratch {
  readonly folder: string;
  readonly workspace: string;
  readonly shots: string;
}

/** How the server runs. */
export interface ServerOptions {
  readonly environment?: NodeJS.ProcessEnv;
  /** Takes the extension from a folder. The workbench shows no toasts then, only the notification centre. */
  readonly development: boolean;
}

/** Makes the folders and writes the user's settings. */
export function makeScratch(name: string, settings: Readonly<Record<string, unknown>> = {}): Scratch {
  const folder = join(results, name);
  rmSync(folder, { recursive: true, force: true });
  for (const child of ['server/data/User', 'extensions', 'builtin', 'workspace', 'shots'])
    mkdirSync(join(folder, child), { recursive: true });
  for (const extension of builtIns) symlinkSync(join(serverFolder, 'extensions', extension), join(folder, 'builtin', extension));
  writeFileSync(join(folder, 'server/data/User/settings.json'), JSON.stringify({ ...quietSettings, ...settings }, null, 2));
  return { folder, workspace: join(folder, 'workspace'), shots: join(folder, 'shots') };
}

const dataArguments = (scratch: Scratch) => [
  '--server-data-dir',
  join(scratch.folder, 'server'),
  '--extensions-dir',
  join(scratch.folder, 'extensions'),
];

/** Installs a package as a user would. */
export function installPackage(scratch: Scratch, path: string): void {
  execFileSync(serverNode, [serverMain, '--install-extension', path, '--force', ...dataArguments(scratch)], {
    env: serverEnvironment(),
    stdio: 'pipe',
  });
}

/** A running server. */
export interface Server {
  readonly port: number;
  readonly pid: number;
  /** Address of the workbench on the workspace, with the workbench's own payload entries. */
  url(payload?: readonly (readonly [string, string])[]): string;
  stop(): Promise<void>;
}

/** Path on the machine as the workbench names it. */
export const remoteUri = (path: string): string => `vscode-remote://remote${path}`;

/** Starts the server on a free port; resolves when it listens. Its whole process group ends with it. */
export async function startServer(scratch: Scratch, { environment = {}, development }: ServerOptions): Promise<Server> {
  const child = spawn(
    serverNode,
    [
      serverMain,
      ...['--host', '127.0.0.1', '--port', '0', '--without-connection-token', '--accept-server-license-terms', '--telemetry-level', 'off'],
      // Without it a built workbench ignores extensionDevelopmentPath; with it, it shows no toasts.
      ...(development ? ['--enable-smoke-test-driver'] : []),
      // Halves the time of large messages.
      '--disable-websocket-compression',
      ...dataArguments(scratch),
      ...['--builtin-extensions-dir', join(scratch.folder, 'builtin')],
    ],
    { env: { ...serverEnvironment(), ...environment }, stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  const pid = child.pid;
  if (pid === undefined) throw new Error(`the server did not start: ${serverNode}`);
  const endGroup = (signal: NodeJS.Signals) => {
    try {
      process.kill(-pid, signal);
    } catch {
      // Already gone.
    }
  };
  const onExit = () => endGroup('SIGKILL'); // also when the tests are interrupted
  process.once('exit', onExit);
  const log = createWriteStream(join(scratch.folder, 'server.log'));
  child.stderr.pipe(log);
  child.stdout.pipe(log);
  const port = await new Promise<number>((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`the server did not start in 60 s: ${text.slice(-2000)}`)), 60_000);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${text.slice(-2000)}`)));
    child.stdout.on('data', (piece: Buffer) => {
      text += piece.toString();
      const found = /Extension host agent listening on (\d+)/.exec(text);
      if (found) {
        clearTimeout(timer);
        resolve(Number(found[1]));
      }
    });
  });
  return {
    port,
    pid,
    url(payload = []) {
      const query = new URLSearchParams({ folder: scratch.workspace });
      if (payload.length > 0) query.set('payload', JSON.stringify(payload));
      return `http://127.0.0.1:${port}/?${query}`;
    },
    async stop() {
      process.removeListener('exit', onExit);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      endGroup('SIGTERM');
      const hard = setTimeout(() => endGroup('SIGKILL'), 5000);
      await gone;
      clearTimeout(hard);
      endGroup('SIGKILL');
    },
  };
}
