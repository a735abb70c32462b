import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CommandLine, ended } from '../../support/commandLine';

let program: CommandLine;
let folder: string;
beforeAll(async () => {
  program = await CommandLine.build();
  folder = mkdtempSync(join(tmpdir(), 'loomweight-quiet-'));
});
afterAll(async () => {
  await program.remove();
  rmSync(folder, { recursive: true, force: true });
});

const digits = resolve('media/samples/digits/digits-mlp.onnx');
const data = resolve('media/samples/digits/data');
/** `npm test` installs it on Linux and fails where it cannot; `npm run test:fast` does without it. */
const tracer = spawnSync('strace', ['-V']).status === 0 ? 'strace' : undefined;

/** Runs `loomweight` as a user whose folders are all empty and whose environment asks for telemetry. */
async function runAlone(name: string, words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const at = (part: string) => join(folder, name, part);
  const places = { HOME: at('home'), XDG_CACHE_HOME: at('cache'), XDG_CONFIG_HOME: at('config'), TMPDIR: at('temporary') };
  for (const place of Object.values(places)) mkdirSync(place, { recursive: true });
  const command = [process.execPath, program.script, ...words];
  const trace = at('trace');
  const traced = tracer === undefined ? command : [tracer, '-f', '-e', 'trace=%network', '-o', trace, ...command];
  const child = spawn(traced[0] as string, traced.slice(1), {
    cwd: folder,
    env: { ...process.env, ...places, ORT_DISABLE_TELEMETRY: '0', LOOMWEIGHT_STATE: at('state'), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { code, stderr } = await ended(child);
  expect(code, stderr).toBe(0);
  const left = Object.values(places).flatMap((place) =>
    readdirSync(place, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name)),
  );
  const calls = existsSync(trace) ? readFileSync(trace, 'utf8').split('\n') : [];
  // Pairs of connected sockets are the channel between the processes; the C library asks its name cache who the user is. Nothing else.
  const outward = calls.filter(
    (line) => /\b(?:socket\(AF_(?!UNIX)|connect\(|bind\(|listen\(|sendm?m?(?:to|sg)\(\d+, .*AF_)/.test(line) && !line.includes('nscd'),
  );
  return { left, outward, traced: calls.some((line) => line.includes('socketpair(')) };
}

test.each([
  ['a job', ['learn-bits', digits, '--data', data, '--steps', '300', '--format', 'archive', '--out', 'learned', '--quiet'], {}],
  [
    "a job with a runtime of the user's own",
    ['evaluate', digits, '--data', data, '--split', 'val', '--quiet'],
    { LOOMWEIGHT_RUNTIME_PATH: resolve('node_modules/onnxruntime-node') },
  ],
  ['the command line itself', ['devices'], {}],
] as const)(
  tracer === undefined
    ? '%s leaves nothing in the folders of the user (strace is missing: whether it opens a socket is not known)'
    : '%s leaves nothing in the folders of the user and opens no socket of its own',
  { timeout: 120_000 },
  async (name, words, environment) => {
    const { left, outward, traced } = await runAlone(name.replaceAll(' ', '-'), words, environment);
    expect(left).toEqual([]);
    if (tracer === undefined) return;
    expect(outward).toEqual([]);
    if (name !== 'the command line itself') expect(traced).toBe(true);
  },
);
