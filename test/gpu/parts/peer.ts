import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadTokenizer } from '../../../src/engine/text/tokenizer';
import { cutWindows } from '../../../src/engine/text/windows';
import type { PartRequest, PartEnd } from '../document';
import { findPython } from '../surroundings';

/** Windows as the perplexity of the check has them. */
const window = 256;

/**
 * The same networks in PyTorch on the same device, by peer.py: steps per second plain and with noise as DiffQ has it, tokens per second and perplexity of the
 * language model. For comparison only: nothing here can disagree.
 */
export async function runPeer(request: PartRequest): Promise<PartEnd> {
  const python = findPython();
  if (python === undefined) return { status: 'skipped', note: 'There is no python3 here, so there is nothing to compare speed with.' };
  if (python.torch === undefined)
    return { status: 'skipped', note: `Python ${python.version} here has no PyTorch, so there is nothing to compare speed with.` };
  const device = request.provider === 'cuda' ? 'cuda' : 'cpu';
  const model = path.join(request.folder, 'models', 'loom-base');
  const tokens = path.join(request.scratch, 'tokens.json');
  writeFileSync(tokens, JSON.stringify(await tokensOf(model, path.join(request.folder, 'models', 'books.txt'))));
  const words = [
    path.join(request.folder, 'peer.py'),
    '--device',
    device,
    '--model',
    model,
    '--tokens',
    tokens,
    '--window',
    String(window),
  ];
  const { status, stdout, stderr, error } = spawnSync(python.program, [...words, ...(request.short ? ['--short'] : [])], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status !== 0 || error)
    return { status: 'skipped', note: `peer.py failed: ${(error?.message ?? stderr.trim().split('\n').at(-1) ?? '').slice(0, 300)}` };
  return { status: 'measured', ...(JSON.parse(stdout) as Record<string, unknown>) };
}

/** Token ids of the text, cut as the check's perplexity cuts them: both read the same. */
async function tokensOf(model: string, text: string): Promise<{ readonly bos: number; readonly ids: readonly number[] }> {
  const tokenizer = await loadTokenizer([model]);
  const { targets } = cutWindows(tokenizer.encode(readFileSync(text, 'utf8')), window);
  return { bos: tokenizer.beginning(undefined)?.id ?? 0, ids: [...targets] };
}
