/**
 * Checks a provider against the CPU, operator by operator and job by job, and measures it: `node check.mjs [--provider cuda|webgpu|cpu] [--short]
 * [--parts devices,operators,...] [--out FILE] [--seconds 330]`, in the folder that test/gpu/check.sh unpacks. Prints one JSON document (`CheckDocument`); progress
 * goes to stderr. Every part runs in its own process with its own limit. Exit code 0: all that could run agrees, 1: something disagrees,
 * 2: bad arguments.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { version } from '../../package.json';
import { toLoomweightError } from '../../src/protocol/errors';
import { outcomeOf, withRatios } from './conclude';
import {
  partNames,
  type CheckDocument,
  type CheckedProvider,
  type Message,
  type PartEnd,
  type PartName,
  type PartRequest,
  type PartResult,
} from './document';
import { runGradients, runOperators } from './parts/cases';
import { runDevices } from './parts/devices';
import { runEvaluation, runPerplexity, runRounding } from './parts/jobs';
import { runPeer } from './parts/peer';
import { runTraining } from './parts/training';
import { runPart, scratchOf } from './supervise';
import { cudaFolders, findPython } from './surroundings';

/** What runs a part, and its limit in seconds. Their sum exceeds the limit of the whole: no part is expected to need its own. */
const parts: Readonly<Record<PartName, { readonly run: (request: PartRequest) => Promise<PartEnd>; readonly seconds: number }>> = {
  devices: { run: runDevices, seconds: 45 },
  operators: { run: runOperators, seconds: 75 },
  gradients: { run: runGradients, seconds: 90 },
  training: { run: runTraining, seconds: 75 },
  perplexity: { run: runPerplexity, seconds: 45 },
  rounding: { run: runRounding, seconds: 45 },
  evaluation: { run: runEvaluation, seconds: 30 },
  peer: { run: runPeer, seconds: 60 },
};
/** Parts that need no provider. */
const independent: ReadonlySet<PartName> = new Set(['devices', 'peer']);
const providers: readonly string[] = ['cuda', 'webgpu', 'cpu'];
/** Limit of the whole in seconds; another one stretches the limits of the parts. */
const usualSeconds = 330;
/** Part of its limit that every part to come is sure to have. */
const reserve = 0.4;
/** Less time than that is not worth starting a process for. */
const leastSeconds = 2;

const { values: given } = parseArgs({
  options: {
    provider: { type: 'string', default: 'cuda' },
    short: { type: 'boolean', default: false },
    parts: { type: 'string', default: partNames.join(',') },
    out: { type: 'string' },
    seconds: { type: 'string', default: String(usualSeconds) },
    part: { type: 'string' },
    from: { type: 'string', default: '0' },
    stride: { type: 'string', default: '1' },
    folder: { type: 'string', default: path.dirname(fileURLToPath(import.meta.url)) },
    scratch: { type: 'string' },
    trust: { type: 'boolean', default: false },
  },
});

/** One part, in its own process: messages go to file descriptor 3. */
async function runOnePart(part: PartName): Promise<void> {
  const tell = (message: Message): void => {
    writeSync(3, `${JSON.stringify(message)}\n`);
  };
  const request: PartRequest = {
    provider: given.provider as CheckedProvider,
    short: given.short,
    folder: given.folder,
    scratch: given.scratch ?? '.',
    from: Number(given.from),
    stride: Number(given.stride),
    trust: given.trust,
    tell,
  };
  try {
    tell({ kind: 'result', result: await parts[part].run(request) });
  } catch (error) {
    tell({ kind: 'result', result: { status: 'failed', note: `${part}: ${toLoomweightError(error).message.slice(0, 1500)}` } });
  }
}

/** All parts, one after another. The document is written after each, so that what is known outlives whatever comes. */
async function runCheck(wanted: readonly PartName[]): Promise<CheckDocument> {
  const began = performance.now();
  const secondsLeft = () => Number(given.seconds) - (performance.now() - began) / 1000;
  const provider = given.provider as CheckedProvider;
  const python = findPython();
  const folders = provider === 'cuda' ? cudaFolders(python) : [];
  const scratch = mkdtempSync(path.join(tmpdir(), 'loomweight-check-'));
  const request = { provider, short: given.short, folder: given.folder };
  const env = childEnvironment(folders, scratch);
  const results: Partial<Record<PartName, PartResult>> = {};
  const document = (): CheckDocument => ({
    program: 'loomweight gpu check',
    version,
    provider,
    mode: given.short ? 'short' : 'full',
    ...outcomeOf(results),
    machine: {
      platform: `${process.platform}-${process.arch}`,
      node: process.version,
      cores: availableParallelism(),
      cudaFolders: folders,
      ...(python === undefined ? {} : { python: `${python.version}${python.torch === undefined ? '' : `, torch ${python.torch}`}` }),
    },
    seconds: Math.round((performance.now() - began) / 100) / 10,
    parts: withRatios(results),
  });
  try {
    for (const part of wanted) {
      results[part] = await runOrSkip(part, results.devices, secondsFor(part, wanted, secondsLeft()), (limitMs, trust) =>
        runPart(part, {
          script: fileURLToPath(import.meta.url),
          env,
          limitMs,
          request: { ...request, trust, scratch: scratchOf(scratch, part) },
        }),
      );
      process.stderr.write(`${part}: ${results[part].status}, ${results[part].seconds.toFixed(1)} s. ${results[part].note ?? ''}\n`);
      write(document());
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return document();
}

/** A part's limit: its own, but no more than leaves something for each part to come. */
function secondsFor(part: PartName, wanted: readonly PartName[], left: number): number {
  const scale = Number(given.seconds) / usualSeconds;
  const later = wanted.slice(wanted.indexOf(part) + 1).reduce((sum, name) => sum + parts[name].seconds, 0);
  return Math.min(parts[part].seconds * scale, left - reserve * later * scale);
}

function runOrSkip(
  part: PartName,
  devices: PartResult | undefined,
  seconds: number,
  run: (limitMs: number, trust: boolean) => Promise<PartResult>,
): Promise<PartResult> {
  const computes = devices?.['computes'] as boolean | undefined;
  if (computes === false && !independent.has(part))
    return Promise.resolve({ status: 'skipped', seconds: 0, note: `${part} needs ${given.provider}, which cannot be used here.` });
  if (seconds < leastSeconds) return Promise.resolve({ status: 'timeout', seconds: 0, note: `No time was left for ${part}.` });
  return run(seconds * 1000, computes === true && devices?.['usable'] === false);
}

/** CUDA's libraries are found, float32 is not rounded, nothing is sent anywhere, and the user's own state is not touched. */
function childEnvironment(folders: readonly string[], scratch: string): NodeJS.ProcessEnv {
  const { LD_LIBRARY_PATH: before } = process.env;
  const state = path.join(scratch, 'state');
  mkdirSync(state);
  return {
    ...process.env,
    ...(folders.length === 0 && before === undefined
      ? {}
      : { LD_LIBRARY_PATH: [...folders, ...(before === undefined ? [] : [before])].join(':') }),
    NVIDIA_TF32_OVERRIDE: '0',
    ORT_DISABLE_TELEMETRY: '1',
    LOOMWEIGHT_STATE: state,
  };
}

function write(document: CheckDocument): void {
  if (given.out !== undefined) writeFileSync(given.out, `${JSON.stringify(document, undefined, 1)}\n`);
}

async function main(): Promise<number> {
  const known: readonly string[] = partNames;
  const wanted = given.parts.split(',');
  const unknown = [...wanted, ...(given.part === undefined ? [] : [given.part])].filter((name) => !known.includes(name));
  if (unknown.length > 0 || !providers.includes(given.provider)) {
    process.stderr.write(
      unknown.length > 0
        ? `check: there is no part '${unknown[0]}'; there are ${partNames.join(', ')}.\n`
        : `check: --provider takes ${providers.join(', ')}, got '${given.provider}'.\n`,
    );
    return 2;
  }
  if (given.part !== undefined) {
    await runOnePart(given.part as PartName);
    return 0;
  }
  const document = await runCheck(partNames.filter((name) => wanted.includes(name)));
  write(document);
  process.stdout.write(`${JSON.stringify(document, undefined, 1)}\n`);
  return document.outcome === 'disagrees' ? 1 : 0;
}

process.exitCode = await main();
