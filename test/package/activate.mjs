// Loads the bundled extension with a stand-in for the editor's API and activates it in a fresh process. Prints the processor
// time of its own code (the time in a real editor is in the extension's log, which the UI tests read), the
// number of processes that it started, and the commands that it registered.
import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const Module = require('node:module');
const childProcess = require('node:child_process');

let processes = 0;
for (const name of ['fork', 'spawn', 'exec', 'execFile', 'spawnSync', 'execFileSync', 'execSync']) {
  childProcess[name] = () => {
    processes += 1;
    throw new Error('activation must not start a process');
  };
}

const commands = [];

/** Answers every property with another stand-in that can be called and constructed. */
function standIn(path) {
  const made = new Proxy(class {}, {
    // The bundle looks properties up on an object made from the module's prototype.
    getPrototypeOf: () => (path === 'vscode' ? made : Object.prototype),
    get(target, key) {
      if (key === 'then' || key === Symbol.iterator) return undefined;
      if (key === Symbol.toPrimitive) return () => path;
      if (key === 'prototype') return target.prototype;
      if (path === 'vscode.commands' && key === 'registerCommand') {
        return (id) => {
          commands.push(id);
          return { dispose() {} };
        };
      }
      if (['workspaceFolders', 'textDocuments', 'visibleTextEditors', 'all'].includes(key)) return [];
      if (key === 'isTrusted') return true;
      if (typeof key === 'symbol') return undefined;
      return standIn(`${path}.${key}`);
    },
    apply: () => standIn(`${path}()`),
    construct: () => standIn(`new ${path}`),
  });
  return made;
}

const load = Module._load;
Module._load = function (request, ...rest) {
  return request === 'vscode' ? standIn('vscode') : load.call(this, request, ...rest);
};

const memento = { get: (_key, fallback) => fallback, update: async () => undefined, keys: () => [] };
const folder = fileURLToPath(new URL('../..', import.meta.url));
const uri = { fsPath: folder, path: folder, scheme: 'file', toString: () => `file://${folder}` };
const context = {
  subscriptions: [],
  extensionUri: uri,
  extensionPath: folder,
  globalStorageUri: { ...uri, fsPath: mkdtempSync(join(tmpdir(), 'loomweight-activate-')) },
  storageUri: uri,
  logUri: uri,
  workspaceState: memento,
  globalState: { ...memento, setKeysForSync() {} },
  asAbsolutePath: (path) => join(folder, path),
  extension: { packageJSON: require('../../package.json'), id: 'loomweight.loomweight' },
};

(async () => {
  // Processor time: what else runs on the machine is not the extension's cost.
  const started = process.cpuUsage();
  const extension = require(process.argv[2]);
  await extension.activate(context);
  const { user, system } = process.cpuUsage(started);
  const milliseconds = (user + system) / 1000;
  process.stdout.write(JSON.stringify({ milliseconds, processes, commands }));
  process.exit(0);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
