/**
 * Rounds an ONNX model of 100 MB (six products with 2048 x 2048 weights) to 4 bits in groups of 32, as `onnx-fast`, and with `--peer` another program does the same in turns.
 *   work:    opening, planning and writing, in a fresh process, several times. A peer that loads, quantises and saves does the same work.
 *   command: the whole `loomweight compress` from start to exit, with its forecast, hashes, verification and measurement of latency.
 * Prints JSON: seconds of every repeat of every round, processor seconds, peak memory. `--peer` names bench_ort_quantize.py or a program with its arguments and output;
 * its `seconds` are those of load, quantise and save.
 * Usage: npm run build && npm run bench compressOnnx -- [--rounds 3] [--repeats 3] [--threads N] [--model FILE] [--peer SCRIPT] [--python python3]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { SeededRandom } from '../../src/common/random';
import { makePlan } from '../../src/engine/compress/plan';
import { planModel } from '../../src/engine/compress/planning/planModel';
import { encodeModel } from '../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder } from '../../src/engine/graph/builder';
import { HostThreads } from '../../src/engine/kernels/host/threads/hostThreads';
import { openSource } from '../../src/engine/models/modelSource';
import { operators } from '../../src/engine/ops/index';
import { PlannedStore } from '../../src/engine/outputs/planned/plannedStore';
import { findWriter } from '../../src/engine/outputs/writers';
import type { CompressSpec } from '../../src/protocol/jobs';
import { workContext } from '../support/workContext';

const { values: given } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    repeats: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(cpus().length) },
    model: { type: 'string' },
    peer: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    /** For the processes that this program starts: does the work and prints its seconds. */
    work: { type: 'boolean', default: false },
  },
});
const [width, layers] = [2048, 6];
const root = process.cwd();
const folder = mkdtempSync(path.join(tmpdir(), 'loomweight-onnx-'));
try {
  if (given.work) console.log(JSON.stringify(await workInThisProcess(given.model as string)));
  else console.log(JSON.stringify(measure(), undefined, 1));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function measure(): Readonly<Record<string, unknown>> {
  const model = given.model ?? path.join(folder, 'stack.onnx');
  if (given.model === undefined) writeFileSync(model, stack());
  const { repeats, threads } = given;
  const rounds = Array.from({ length: Number(given.rounds) }, () => ({
    ...(given.peer === undefined ? {} : { peer: peer(model, given.peer) }),
    work: ownProgram([process.argv[1] as string, '--work', '--model', model, '--repeats', repeats, '--threads', threads]),
    command: command(model),
  }));
  return { model: { bytes: statSync(model).size }, bits: 4, groupSize: 32, threads: Number(threads), rounds };
}

/** Opens, plans and writes: seconds of each repeat. */
async function workInThisProcess(model: string): Promise<Readonly<Record<string, unknown>>> {
  const seconds: number[] = [];
  for (let repeat = 0; repeat < Number(given.repeats); repeat += 1) {
    const out = path.join(folder, String(repeat));
    const spec: CompressSpec = { kind: 'compress', model, method: 'rtn', parameters: {}, format: 'onnx-fast', out };
    const start = performance.now();
    const source = await openSource(model);
    const threads = new HostThreads(Number(given.threads), { workerFile: path.join(root, 'dist', 'worker.js') });
    threads.start();
    const store = new PlannedStore(out);
    const planning = { source, plan: makePlan(source, spec), store, calibration: undefined, folder: out, threads };
    // Planning by tensors uses no runtime.
    await planModel(planning, workContext(undefined as never), () => undefined);
    const job = { source, planned: store, folder: out, signal: undefined, stored: () => undefined, note: () => undefined };
    await findWriter('onnx-fast').write(job);
    await threads.close();
    await source.container.close();
    seconds.push(rounded((performance.now() - start) / 1000));
  }
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return { seconds, processor_seconds: rounded((userCPUTime + systemCPUTime) / 1e6), peak_rss_mb: Math.round(maxRSS / 1024) };
}

/** The whole command in a process of its own. */
function command(model: string): Readonly<Record<string, unknown>> {
  const out = path.join(folder, 'command');
  const words = ['--method', 'rtn', '--bits', '4', '--group-size', '32', '--format', 'onnx-fast', '--threads', given.threads, '--out', out];
  const start = performance.now();
  const report = ownProgram([path.join(root, 'dist', 'cli.js'), 'compress', model, ...words, '--json']);
  const seconds = rounded((performance.now() - start) / 1000);
  rmSync(out, { recursive: true, force: true });
  const inJob = report['seconds'] as number;
  return { seconds, of_that_in_the_job: rounded(inJob), peak_rss_mb: Math.round((report['peakRssBytes'] as number) / 2 ** 20) };
}

function ownProgram(words: readonly string[]): Readonly<Record<string, unknown>> {
  return lastLine(process.execPath, words);
}

function peer(model: string, script: string): Readonly<Record<string, unknown>> {
  const { repeats, threads } = given;
  const words = ['--model', model, '--out', path.join(folder, 'peer.onnx'), '--bits', '4', '--block', '32'];
  const start = performance.now();
  const printed = lastLine(given.python, [script, ...words, '--repeats', repeats, '--threads', threads]);
  const whole = (performance.now() - start) / 1000;
  const { seconds, peer: name, version, cpu_seconds_total, peak_rss_mb } = printed;
  return { name, version, seconds, processor_seconds: cpu_seconds_total, peak_rss_mb, whole_process_seconds: rounded(whole) };
}

/** Runs a program and reads the JSON that it prints. */
function lastLine(program: string, words: readonly string[]): Readonly<Record<string, unknown>> {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${status}: ${stderr || stdout}`);
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
}

/** Normal weights, the same at every run. */
function stack(): Uint8Array {
  const random = new SeededRandom(1);
  const build = new GraphBuilder(operators, 'stack', 21);
  let x = build.input('x', { dtype: 'float32', shape: ['rows', width] });
  for (let layer = 0; layer < layers; layer += 1) {
    const values = Float32Array.from({ length: width * width }, () => random.nextNormal() * 0.02);
    const weight = build.constant(
      { kind: 'inline', dtype: 'float32', shape: [width, width], bytes: new Uint8Array(values.buffer) },
      `w${layer}`,
    );
    x = build.op('Relu', [build.op('MatMul', [x, weight])]);
  }
  build.output(x, 'y');
  return encodeModel(build.finish());
}

function rounded(seconds: number): number {
  return Number(seconds.toFixed(3));
}
