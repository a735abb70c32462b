// What the entry scripts need before they can work, with Node's built-ins only: npm packages, a browser, a VS Code server.
// Every step says what it does, does nothing when it is done already, and fails with one line that says what to do.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const serverFolder = join(root, 'test', 'ui', 'server');

/** A missing prerequisite: the message is the one line that the user sees. */
export class SetupError extends Error {}

/** Runs npm with the given arguments; output of npm itself only when it fails. */
export function npm(folder, args) {
  const cli = process.env.npm_execpath;
  const [command, first, shell] = cli?.endsWith('.js') ? [process.execPath, [cli], false] : ['npm', [], process.platform === 'win32'];
  const all = [...first, ...args, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status, stdout, stderr, error } = spawnSync(command, all, { cwd: folder, encoding: 'utf8', shell });
  if (status !== 0) {
    const reason = `${error?.message ?? ''}\n${stderr ?? ''}\n${stdout ?? ''}`
      .split('\n')
      .map((line) => line.trim())
      .find((line) => line !== '');
    throw new SetupError(
      `"npm ${args.join(' ')}" in ${folder} failed (${reason ?? `exit code ${status}`}). Check the network or the npm settings and run it again.`,
    );
  }
}

/**
 * True when node_modules holds every package of the lockfile in its version. npm keeps its own record of what it installed
 * (node_modules/.package-lock.json), so an installation by hand counts as well; packages for other platforms are not asked for.
 */
export function isInstalled(folder) {
  const record = join(folder, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) {
    return false;
  }
  const wanted = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')).packages;
  const present = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || entry.devOptional || entry.link || present[path]?.version === entry.version,
  );
}

/** Installs the npm packages of the project when they are missing or the lockfile has changed. */
export function ensurePackages() {
  if (isInstalled(root)) {
    return;
  }
  console.log('set-up: installing npm packages (npm ci, a minute or less)');
  npm(root, ['ci']);
}

const BROWSER_NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The browser for the UI tests: CHROMIUM, or the first known name on the PATH. */
export function findBrowser() {
  const named = process.env.CHROMIUM;
  if (named) {
    return existsSync(named) ? named : undefined;
  }
  return (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => BROWSER_NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
}

const hasFonts = () => existsSync('/usr/share/fonts/truetype') || existsSync('/usr/share/fonts/opentype');

/** Installs Debian packages. `advice`: what to do where that is not possible. */
function installSystemPackages(packages, advice) {
  if (process.getuid?.() !== 0) {
    throw new SetupError(`${advice}; this user is not root.`);
  }
  console.log(`set-up: installing ${packages.join(' and ')} (apt-get, a minute or less)`);
  const options = { stdio: 'pipe', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  try {
    execFileSync('apt-get', ['update', '-qq'], options);
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], options);
  } catch (error) {
    const reason = `${error.stderr ?? error.message}`.trim().split('\n')[0];
    throw new SetupError(`${advice}; apt-get failed (${reason}).`);
  }
}

/** strace, by which a test sees whether a process opens a socket. Only Linux has it: elsewhere that test looks at files only. */
export function ensureTracer() {
  const isThere = () => spawnSync('strace', ['-V']).status === 0;
  if (process.platform !== 'linux' || isThere()) {
    return;
  }
  const advice = 'The test that no socket is opened needs strace: install it (Debian: "apt-get install strace" as root)';
  installSystemPackages(['strace'], advice);
  if (!isThere()) {
    throw new SetupError(`${advice}; apt-get ended well, but strace does not run.`);
  }
}

/** Installs Chromium and a font through apt-get where that is possible, else says what is missing. */
function ensureBrowser() {
  if (findBrowser() && (hasFonts() || process.env.CHROMIUM)) {
    return;
  }
  const advice =
    'UI tests need Chromium and a font, and found none: install them (Debian: "apt-get install chromium fonts-dejavu-core" as root) or set CHROMIUM to a browser';
  if (process.env.CHROMIUM) {
    throw new SetupError(`UI tests: CHROMIUM is "${process.env.CHROMIUM}", which does not exist. Set it to a Chromium browser.`);
  }
  installSystemPackages(['chromium', 'fonts-dejavu-core'], advice);
  if (!findBrowser()) {
    throw new SetupError(`${advice}; apt-get ended well, but no browser is on the PATH.`);
  }
}

/**
 * The server's native logger is not built (no compiler is asked for). Without any logger the extension host's log and the
 * output channels are lost, so this plain one takes its place. It is imported as an ES module with named exports: one a line.
 */
const PLAIN_LOGGER = `const fs = require('node:fs');
const path = require('node:path');
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'critical'];
class Logger {
  constructor(file) { this.file = file; this.level = 2; this.plain = false; }
  write(level, text) {
    if (level < this.level) { return; }
    fs.appendFileSync(this.file, this.plain ? text : new Date().toISOString() + ' [' + LEVELS[level] + '] ' + text + '\\n');
  }
  getLevel() { return this.level; }
  setLevel(level) { this.level = level; }
  setPattern() {}
  clearFormatters() { this.plain = true; }
  flush() {}
  drop() {}
}
LEVELS.forEach((name, level) => { Logger.prototype[name] = function (text) { this.write(level, text); }; });
async function createLogger(_name, file) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  return new Logger(file);
}
exports.version = 0;
exports.Logger = Logger;
exports.setLevel = () => {};
exports.setFlushOn = () => {};
exports.createRotatingLogger = createLogger;
exports.createAsyncRotatingLogger = createLogger;
`;

const EMPTY_EXTENSION = "'use strict';\nexports.activate = () => {};\n";

/**
 * The server's package leaves out the browser builds of built-in extensions, which the workbench asks for all the same: each
 * missing one is an error notification, and so many of them at once that the workbench then shows no other toast either.
 * An extension that does nothing takes the place of each.
 */
function fillBrowserExtensions(server) {
  const folder = join(server, 'extensions');
  for (const name of readdirSync(folder)) {
    const manifest = join(folder, name, 'package.json');
    const browser = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')).browser : undefined;
    if (typeof browser !== 'string') {
      continue;
    }
    const path = join(folder, name, browser.endsWith('.js') ? browser : `${browser}.js`);
    if (!existsSync(path)) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, EMPTY_EXTENSION);
    }
  }
}

/** Installs the VS Code server of the UI tests (test/ui/server); a stamp with the lockfile's hash says that it is done. */
function ensureServer() {
  const stamp = join(serverFolder, 'node_modules', '.setup-done');
  const key = createHash('sha256')
    .update(readFileSync(join(serverFolder, 'package-lock.json')))
    .update(PLAIN_LOGGER)
    .update(EMPTY_EXTENSION)
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === key) {
    return;
  }
  console.log('set-up: installing a VS Code server for the UI tests (npm ci in test/ui/server, about 760 MB)');
  npm(serverFolder, ['ci']);
  // The server's own dependencies: what its postinstall script would do, without compiling anything.
  const server = join(serverFolder, 'node_modules', 'code-server', 'lib', 'vscode');
  npm(server, ['install', '--omit=dev']);
  writeFileSync(join(server, 'node_modules', '@vscode', 'spdlog', 'index.js'), PLAIN_LOGGER);
  fillBrowserExtensions(server);
  writeFileSync(stamp, key);
}

/** Everything that the tests in a real VS Code need. */
export function ensureUiTools() {
  const platform = `${process.platform}-${process.arch}`;
  if (platform !== 'linux-x64') {
    throw new SetupError(`UI tests run on linux-x64 only, this is ${platform}. "npm run test:fast" runs everything else.`);
  }
  ensureBrowser();
  ensureServer();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    ensurePackages();
    if (process.argv.includes('--ui')) {
      ensureUiTools();
    }
    console.log('set-up: done');
  } catch (error) {
    console.error(error instanceof SetupError ? error.message : error);
    process.exitCode = 1;
  }
}
