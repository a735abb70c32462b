/**
 * Speed of scoring a text with ONNX language models: every file as it is stored, and those with slow packed kernels once more through dequantised weights. All
 * are loaded first and then take turns, so that a busy machine slows all of them. Prints JSON: seconds to load, tokens/s of the best round, and the median over the
 * rounds of the speed relative to the first model's.
 * Usage: npm run bench packedEvaluation -- --text FILE [--window 256 --limit 16 --rounds 7 --threads 2] FIRST.onnx MODEL.onnx...
 */
import { parseArgs } from 'node:util';
import { OnnxLanguageModel, readOnnxSettings } from '../../src/engine/evaluate/onnxLanguageModel';
import { isSlowProduct } from '../../src/engine/evaluate/slowProducts';
import { readText } from '../../src/engine/formats/files/readText';
import { openContainer } from '../../src/engine/models/openContainer';
import { findPackedProducts } from '../../src/engine/models/packedProducts';
import { createRuntime } from '../../src/engine/runtime/runtime';
import { loadTokenizer } from '../../src/engine/text/tokenizer';
import { cutWindows } from '../../src/engine/text/windows';
import { workContext } from '../support/workContext';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string' },
    window: { type: 'string', default: '256' },
    limit: { type: 'string', default: '16' },
    rounds: { type: 'string', default: '7' },
    threads: { type: 'string', default: '2' },
  },
});
if (values.text === undefined || positionals.length === 0) throw new Error('Give --text FILE and the paths of ONNX models.');
const window = Number(values.window);
const context = workContext(await createRuntime({ provider: 'cpu', threads: Number(values.threads) }));
const text = await readText(values.text);

const contestants: { name: string; loadSeconds: number; score(): Promise<{ loss: number; tokens: number }>; seconds: number[] }[] = [];
for (const path of positionals) {
  const container = await openContainer(path);
  const settings = await readOnnxSettings(container);
  const tokenizer = await loadTokenizer(settings.folders);
  const windows = cutWindows(tokenizer.encode(text), window, Number(values.limit));
  const bos = tokenizer.beginning(settings.bosTokenId)?.id;
  for (const dequantize of (await findPackedProducts(path)).some(isSlowProduct) ? [false, true] : [false]) {
    const start = performance.now();
    const model = await OnnxLanguageModel.load(container, context, dequantize);
    contestants.push({
      name: `${path}${dequantize ? ', dequantised' : ''}`,
      loadSeconds: (performance.now() - start) / 1000,
      score: () => model.score(windows, bos, Math.max(1, Math.floor(1024 / window)), context),
      seconds: [],
    });
  }
}

const results = new Map<string, object>();
for (let round = 0; round <= Number(values.rounds); round += 1)
  for (const contestant of contestants) {
    const start = performance.now();
    const { loss, tokens } = await contestant.score();
    // The first round is a warm-up.
    if (round > 0) contestant.seconds.push((performance.now() - start) / 1000);
    const [first] = contestants as [(typeof contestants)[number]];
    const ratios = contestant.seconds.map((seconds, index) => first.seconds[index]! / seconds).sort((a, b) => a - b);
    results.set(contestant.name, {
      loadSeconds: Number(contestant.loadSeconds.toFixed(3)),
      tokensPerSecond: Math.round(tokens / Math.min(...contestant.seconds)),
      relativeToFirst: Number((ratios[Math.floor(ratios.length / 2)] ?? NaN).toFixed(2)),
      perplexity: Number(Math.exp(loss / tokens).toFixed(4)),
    });
  }
console.log(JSON.stringify({ window, threads: Number(values.threads), models: Object.fromEntries(results) }, undefined, 2));
await context.runtime.dispose();
