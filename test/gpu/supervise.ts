import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { CaseResult, Message, PartEnd, PartName, PartRequest, PartResult } from './document';
import { summarizeCases } from './parts/cases';

/** Parts that are a list of cases: what ended their process is one case, the rest is run by another process. */
const listed: ReadonlySet<PartName> = new Set(['operators', 'gradients']);
/** More processes than that dying one after another say nothing new. */
const mostRestarts = 8;

/** What a part's processes are started with. */
export interface Supervised {
  readonly script: string;
  readonly env: NodeJS.ProcessEnv;
  readonly limitMs: number;
  readonly request: Omit<PartRequest, 'tell' | 'from'>;
}

/** Runs a part in processes of its own, none of which outlives its limit or takes the check down. */
export async function runPart(part: PartName, given: Supervised): Promise<PartResult> {
  const began = performance.now();
  const cases: CaseResult[] = [];
  const left = () => given.limitMs - (performance.now() - began);
  let ended = await runProcess(part, given, { from: 0, limitMs: left(), cases });
  for (let restarts = 0; ended.died !== undefined && listed.has(part) && restarts < mostRestarts && left() > 1000; restarts += 1) {
    cases.push({ name: ended.died.name, placed: 'provider', error: Infinity, agrees: false, problem: ended.died.how });
    ended = await runProcess(part, given, { from: ended.died.index + 1, limitMs: left(), cases });
  }
  const seconds = (performance.now() - began) / 1000;
  return { ...(listed.has(part) ? summarizeCases(part, cases, ended.result) : ended.result), seconds };
}

interface ProcessEnd {
  readonly result: PartEnd;
  /** The case at which the process died, where it was at one. */
  readonly died?: { readonly index: number; readonly name: string; readonly how: string };
}

function runProcess(
  part: PartName,
  { script, env, request }: Supervised,
  { from, limitMs, cases }: { readonly from: number; readonly limitMs: number; readonly cases: CaseResult[] },
): Promise<ProcessEnd> {
  mkdirSync(request.scratch, { recursive: true });
  const words = [
    '--part',
    part,
    '--from',
    String(from),
    '--provider',
    request.provider,
    '--folder',
    request.folder,
    '--scratch',
    request.scratch,
  ];
  const flags = [...(request.short ? ['--short'] : []), ...(request.trust ? ['--trust'] : [])];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...words, ...flags], { env, cwd: request.scratch, stdio: ['ignore', 2, 2, 'pipe'] });
    let at: { readonly index: number; readonly name: string } | undefined;
    let result: PartEnd | undefined;
    let overtime = false;
    const timer = setTimeout(
      () => {
        overtime = true;
        child.kill('SIGKILL');
      },
      Math.max(1, limitMs),
    );
    readLines(child.stdio[3] as Readable, (line) => {
      const message = JSON.parse(line) as Message;
      if (message.kind === 'begin') at = message;
      else if (message.kind === 'case') {
        cases.push(message.result);
        at = undefined;
      } else result = message.result;
    });
    const end = (how: string): void => {
      clearTimeout(timer);
      // A result counts although the process failed to end in good order afterwards: drivers do that.
      if (result) resolve({ result: how === '' ? result : { ...result, endedWith: how } });
      else if (overtime)
        resolve({
          result: { status: 'timeout', note: `${part} did not end within ${Math.round(limitMs / 1000)} s${at ? ` (at ${at.name})` : ''}.` },
        });
      else
        resolve({
          result: { status: 'failed', note: `The process of ${part} ended with ${how}.` },
          ...(at ? { died: { ...at, how: `The process ended with ${how}.` } } : {}),
        });
    };
    child.once('error', (error) => end(error.message));
    child.once('close', (code, signal) => end(code === 0 ? '' : (signal ?? `code ${code}`)));
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
