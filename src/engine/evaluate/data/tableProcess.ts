import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes } from '../../../common/units';
import { LoomweightError, fromErrorData, toErrorData } from '../../../protocol/errors';
import type { ErrorData } from '../../../protocol/errors';
import { memoryMargin, residentSize, sizeIntervalMs } from '../../../protocol/client/residentSize';
import { decodingBytes } from './tableMemory';
import { parquetFacts, parquetRows, unreadable } from './parquetRows';
import type { ParquetFacts } from './parquetRows';

/** The rows of a table by columns, in pieces. */
export type TableMessage =
  | { readonly kind: 'columns'; readonly names: readonly string[] }
  | { readonly kind: 'rows'; readonly cells: readonly (readonly unknown[])[] }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: ErrorData };

/** Rows in one message. */
const rowsPerMessage = 4096;
/** Memory for a decoded value, with its levels and its share of row and list. */
const bytesPerValue = 96;
/** Memory for a byte of text: two for each of its characters, and as much while it is sent. */
const bytesPerTextByte = 4;
const leastHeap = 256 * 2 ** 20;
const mostHeap = 8 * 2 ** 30;
/** Memory of a Node process beside its heap, and room for the bytes that are being decoded. */
const besideHeap = 256 * 2 ** 20;
/** Below this the process does not even start. */
const leastDecoder = 48 * 2 ** 20;
const leastSeconds = 60;
/** A fraction of what one core of an idle machine decodes: the machine may have more to do. */
const bytesPerSecond = 2e6;
const valuesPerSecond = 200e3;

/** What a process that decodes a table may take. */
export interface TableLimits {
  /** Bytes of V8's heap, and of the whole process. */
  readonly heap: number;
  readonly resident: number;
  readonly seconds: number;
}

/** Limits for a table of `size` bytes: several times what decoding it takes, for damaged counts claim far more. */
export function tableLimits(facts: ParquetFacts, size: number): TableLimits {
  const heap = Math.min(mostHeap, leastHeap + bytesPerValue * facts.values + bytesPerTextByte * facts.textBytes);
  return {
    heap,
    resident: heap + besideHeap + 4 * size + 2 * facts.plainBytes,
    seconds: leastSeconds + size / bytesPerSecond + facts.values / valuesPerSecond,
  };
}

/**
 * Reads the rows of a Parquet file in a process of its own. The decoder trusts counts inside of the file; a damaged one makes it claim memory without end or
 * loop: the process then reaches its limit of memory or time and is ended, and the file is refused (`unsupported`: it may be sound and large). `script`: `table.js` next to the running script, as
 * built; a program that runs from source decodes in its own process. `memoryLimit`: bytes that this process and that one may take together, with the margin that a job's own
 * process has. Errors: `malformed-file`, `unsupported`, `insufficient-memory`.
 */
export async function parquetInOwnProcess(
  file: string,
  { script = join(__dirname, 'table.js'), memoryLimit }: { readonly script?: string; readonly memoryLimit?: number | undefined } = {},
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const facts = await parquetFacts(file);
  if (!existsSync(script)) return parquetRows(file);
  const { size } = await stat(file);
  return readRows(file, script, facts, { ...tableLimits(facts, size), job: memoryLimit ?? Infinity });
}

async function readRows(
  file: string,
  script: string,
  facts: ParquetFacts,
  limits: TableLimits & { readonly job: number },
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const lacks = () =>
    new LoomweightError(
      'insufficient-memory',
      `Reading ${file} needs more memory than the job's limit of ${formatBytes(limits.job)} plus 10 %: a table of ${facts.rows} rows with ${facts.values} values takes about ` +
        `${formatBytes(decodingBytes(facts))} beside the job itself. Raise the limit or free memory, or convert the table to .npy files, which are read in parts.`,
      { file, rows: facts.rows, values: facts.values, limit: limits.job },
    );
  const together = limits.job * memoryMargin;
  const left = together - process.memoryUsage.rss();
  if (left < leastDecoder) throw lacks();
  const child = fork(script, [], {
    serialization: 'advanced',
    execArgv: [`--max-old-space-size=${Math.ceil(Math.min(limits.heap, left) / 2 ** 20)}`],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
  });
  const damaged = (why: string) =>
    new LoomweightError('malformed-file', `${file} cannot be read as a Parquet table: ${why}. The file is damaged.`, { file });
  const exceeds = (what: string) =>
    new LoomweightError(
      'unsupported',
      `${file} needs more ${what} than a table of ${facts.rows} rows with ${facts.values} values is allowed. ` +
        `Convert it to .npy files, which are read in parts. If it is not that large, it is damaged.`,
      { file, rows: facts.rows, values: facts.values },
    );
  const memory = `memory (${Math.ceil(limits.resident / 2 ** 20)} MiB)`;
  const timers: NodeJS.Timeout[] = [];
  try {
    return await new Promise((resolve, reject) => {
      const rows: Readonly<Record<string, unknown>>[] = [];
      let names: readonly string[] = [];
      const watch = async () => {
        const bytes = child.pid === undefined ? undefined : await residentSize(child.pid);
        if (bytes === undefined) return;
        if (bytes + process.memoryUsage.rss() > together) reject(lacks());
        else if (bytes > limits.resident) reject(exceeds(memory));
      };
      timers.push(setInterval(() => void watch(), sizeIntervalMs));
      timers.push(setTimeout(() => reject(exceeds(`time (${Math.ceil(limits.seconds)} s)`)), limits.seconds * 1000));
      child.on('message', (message: TableMessage) => {
        if (message.kind === 'columns') names = message.names;
        else if (message.kind === 'rows')
          for (const cells of message.cells) rows.push(Object.fromEntries(names.map((name, index) => [name, cells[index]])));
        else if (message.kind === 'done') resolve(rows);
        else reject(fromErrorData(message.error));
      });
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        // V8 aborts a process whose heap reaches its limit; Windows has no signals and gives the exit code of an abort.
        reject(
          signal === 'SIGABRT' || code === 134
            ? left < limits.heap
              ? lacks()
              : exceeds(memory)
            : damaged(`the process that decoded it ended (${signal ?? `exit code ${code}`}), out of memory or by a fault of the data`),
        ),
      );
      child.send({ file }, (error) => {
        if (error) reject(error);
      });
    });
  } finally {
    for (const timer of timers) clearTimeout(timer);
    child.kill('SIGKILL');
  }
}

/** Serves one request of `parquetInOwnProcess`: called by the entry file of the process. */
export function serveTable(): void {
  if (process.send === undefined) throw new LoomweightError('internal', 'This script is started by the engine; do not run it directly.');
  const send = (message: TableMessage) => new Promise<void>((resolve) => process.send?.(message, undefined, undefined, () => resolve()));
  // The parent is gone: nobody waits for the rows.
  process.once('disconnect', () => process.exit(0));
  process.once('message', ({ file }: { readonly file: string }) => {
    parquetRows(file)
      .then(async (rows) => {
        const names = Object.keys(rows[0] ?? {});
        await send({ kind: 'columns', names });
        for (let at = 0; at < rows.length; at += rowsPerMessage)
          await send({ kind: 'rows', cells: rows.slice(at, at + rowsPerMessage).map((row) => names.map((name) => row[name])) });
        await send({ kind: 'done' });
      })
      .catch((error: unknown) => send({ kind: 'failed', error: toErrorData(unreadable(file, error)) }));
  });
}
