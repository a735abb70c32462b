// An engine process whose jobs do what a test wants: the model's name is the script. Served by the real server.
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { IPCMessageReader, IPCMessageWriter, createMessageConnection } from 'vscode-jsonrpc/node';
import type { ServedEngine } from '../../../src/engine/engineServer';
import { serveEngine } from '../../../src/engine/engineServer';
import { LoomweightError, cancelledError } from '../../../src/protocol/errors';
import type { CompressSpec } from '../../../src/protocol/jobs';
import { temporaryName } from '../../../src/protocol/client/temporaryNames';
import { protocolVersion } from '../../../src/protocol/version';

const protocol = Number(process.env['SCRIPTED_PROTOCOL'] ?? protocolVersion);
const fail = (): never => {
  throw new Error('not part of this script');
};

/** Computes without ever looking at its messages, as a long native run does. */
function blockThread(milliseconds: number): void {
  const end = Date.now() + milliseconds;
  while (Date.now() < end);
}

/** Never resolves; rejects when cancelled, before or after. */
function untilCancelled(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(cancelledError());
    signal?.addEventListener('abort', () => reject(cancelledError()));
  });
}

const engine: ServedEngine = {
  handshake: async () => {
    if (process.env['SCRIPTED_CRASH'] === 'start') process.exit(3);
    return { protocol, engine: 'scripted', pid: process.pid };
  },
  findModels: fail,
  inspect: async ({ model }) => {
    throw new LoomweightError('malformed-file', `bad header in ${model}`, { offset: 8, bytes: new Float32Array([1, 2]) });
  },
  statistics: async ({ tensor }) => {
    blockThread(Number(tensor));
    return { count: process.pid } as never;
  },
  picture: async ({ width, height }) => ({
    rows: 1,
    columns: 1,
    region: { row: 0, column: 0, rows: 1, columns: 1 },
    width,
    height,
    low: 0,
    high: 1,
    levels: new Uint8Array(width * height).fill(7),
  }),
  methods: async () => {
    process.stderr.write('about to fail\n');
    process.abort();
  },
  kinds: fail,
  completeStep: fail,
  describeJob: fail,
  describeReport: fail,
  devices: async (_request, { signal }) => untilCancelled(signal),
  forecast: fail,
  runJob: async ({ spec }, { signal, emit }) => {
    const { model, out } = spec as CompressSpec;
    emit?.('progress', { phase: 'start', done: 0, unit: 'layers', elapsedSeconds: 0, rssBytes: process.memoryUsage.rss() });
    emit?.('output', { path: out });
    const unfinished = join(dirname(out), temporaryName(basename(out), '1a'));
    mkdirSync(unfinished, { recursive: true });
    writeFileSync(join(unfinished, 'model.safetensors'), 'half');
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (model === 'block') blockThread(60_000);
    if (model === 'grow') {
      const kept: Uint8Array[] = [];
      for (;;) {
        kept.push(new Uint8Array(16 * 2 ** 20).fill(1));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    if (model === 'polite') await untilCancelled(signal);
    return { kind: 'inspect' } as never;
  },
  checkRecipe: async ({ text }) => [
    { start: { line: 0, character: 0 }, end: { line: 0, character: text.length }, severity: 'error', message: text },
  ],
  completeRecipe: fail,
};

const calls = serveEngine(engine, createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process)));
process.once('disconnect', () => void calls.cancelAll().then(() => process.exit(0)));
