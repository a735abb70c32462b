import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { CaseResult, Message, PartEnd, PartName, PartRequest, PartResult } from './document';
import { summarizeCases } from './parts/cases';

/** Parts that are a list of cases: what ended their process is one case, the rest is run by another process. */
const listed: ReadonlySet<PartName> = new Set(['operators', 'gradients']);
/** Sessions on a card take a tenth of a second to make, most of it on the host: several processes share the cases. More of them gain little. */
const mostProcesses = 6;
/** More processes than that dying one after another say nothing new. */
const mostRestarts = 8;

/** What a part's processes are started with. */
export interface Supervised {
  readonly script: string;
  readonly env: NodeJS.ProcessEnv;
  readonly limitMs: number;
  readonly request: Omit<PartRequest, 'tell' | 'from' | 'stride'>;
}

/** Runs a part in its own processes, none of which outlives its limit or takes the check down. */
export async function runPart(part: PartName, given: Supervised): Promise<PartResult> {
  const began = performance.now();
  mkdirSync(given.request.scratch, { recursive: true });
  const end = listed.has(part) ? await runCases(part, given) : (await runProcess(part, given, { limitMs: given.limitMs })).result;
  return { ...end, seconds: (performance.now() - began) / 1000 };
}

async function runCases(part: PartName, given: Supervised): Promise<PartEnd> {
  const cases = new Map<number, CaseResult>();
  const until = performance.now() + given.limitMs;
  const stride = Math.max(1, Math.min(mostProcesses, Math.floor(availableParallelism() / 2)));
  const ends = await Promise.all(Array.from({ length: stride }, (_, from) => runShare(part, given, { from, stride, until, cases })));
  const worst = ends.find(({ status }) => status === 'failed') ?? ends.find(({ status }) => status === 'timeout') ?? (ends[0] as PartEnd);
  const ordered = [...cases].sort(([a], [b]) => a - b).map(([, result]) => result);
  return summarizeCases(part, ordered, worst);
}

/** Every `stride`-th case from `from` on, in one process after another where they die. */
async function runShare(
  part: PartName,
  given: Supervised,
  {
    from,
    stride,
    until,
    cases,
  }: { readonly from: number; readonly stride: number; readonly until: number; readonly cases: Map<number, CaseResult> },
): Promise<PartEnd> {
  let next = from;
  for (let restarts = 0; ; restarts += 1) {
    const { result, died } = await runProcess(part, given, { from: next, stride, limitMs: until - performance.now(), cases });
    if (died === undefined) return result;
    cases.set(died.index, { name: died.name, placed: 'provider', agrees: false, problem: died.how });
    next = died.index + stride;
    if (restarts === mostRestarts) return result;
  }
}

interface ProcessEnd {
  readonly result: PartEnd;
  /** The case at which the process died, where it was at one. */
  readonly died?: { readonly index: number; readonly name: string; readonly how: string };
}

function runProcess(
  part: PartName,
  { script, env, request }: Supervised,
  run: { readonly from?: number; readonly stride?: number; readonly limitMs: number; readonly cases?: Map<number, CaseResult> },
): Promise<ProcessEnd> {
  const { provider, folder, scratch, short, trust } = request;
  const words = ['--part', part, '--from', String(run.from ?? 0), '--stride', String(run.stride ?? 1), '--provider', provider];
  const places = ['--folder', folder, '--scratch', scratch, ...(short ? ['--short'] : []), ...(trust ? ['--trust'] : [])];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...words, ...places], { env, cwd: scratch, stdio: ['ignore', 2, 2, 'pipe'] });
    let at: { readonly index: number; readonly name: string } | undefined;
    let result: PartEnd | undefined;
    let overtime = false;
    const timer = setTimeout(
      () => {
        overtime = true;
        child.kill('SIGKILL');
      },
      Math.max(1, run.limitMs),
    );
    readLines(child.stdio[3] as Readable, (line) => {
      const message = JSON.parse(line) as Message;
      if (message.kind === 'begin') at = message;
      else if (message.kind === 'case') {
        run.cases?.set(message.index, message.result);
        at = undefined;
      } else result = message.result;
    });
    const end = (how: string): void => {
      clearTimeout(timer);
      const where = at === undefined ? '' : ` (at ${at.name})`;
      // A result counts although the process failed to end in good order afterwards: drivers do that.
      if (result) resolve({ result: how === '' ? result : { ...result, endedWith: how } });
      else if (overtime) resolve({ result: { status: 'timeout', note: `${part} did not end within its time${where}.` } });
      else {
        const note = `A process of ${part} ended with ${how}${where}.`;
        resolve({
          result: { status: 'failed', note },
          ...(at === undefined ? {} : { died: { ...at, how: `The process ended with ${how}.` } }),
        });
      }
    };
    child.once('error', (error) => end(error.message));
    child.once('close', (code, signal) => end(code === 0 ? '' : (signal ?? `exit code ${code}`)));
  });
}

function readLines(stream: Readable, take: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream.on('data', (bytes: Buffer) => {
    const lines = (rest + decoder.write(bytes)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
}

/** A folder of one part's own. */
export const scratchOf = (folder: string, part: PartName): string => path.join(folder, part);
