import { parseArgs } from 'node:util';
import { constantTemperature } from '../../src/common/temperatureSchedule';
import { openTextModel } from '../../src/engine/generate/openTextModel';
import { createRuntime } from '../../src/engine/runtime/runtime';

/**
 * Tokens per second of ancestral sampling from the start token, after a short run that warms up: `npm run bench generation -- --model DIR
 * [--batch 1,8,32] [--tokens 255] [--threads 2] [--repeats 3]`. Prints one JSON document; the best of the repeats counts. Opening the model is apart.
 */
const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    batch: { type: 'string', default: '1,8,32' },
    tokens: { type: 'string', default: '255' },
    threads: { type: 'string', default: '2' },
    repeats: { type: 'string', default: '3' },
  },
});
if (!values.model) throw new Error('Give --model.');

const started = performance.now();
const runtime = await createRuntime({ provider: 'cpu', threads: Number(values.threads) });
const model = await openTextModel(values.model);
const start = model.beginning?.id;
if (start === undefined) throw new Error('The model has no start token.');
const generator = await model.generator({ sampling: { greedy: false }, end: { kind: 'none' } }, { runtime, signal: undefined });
const openSeconds = (performance.now() - started) / 1000;
const tokens = Number(values.tokens);
const rows: object[] = [];
for (const batch of values.batch.split(',').map(Number)) {
  const run = async (seed: number, count: number): Promise<number> => {
    const begun = performance.now();
    const prompts = Array.from({ length: batch }, () => [start]);
    await generator.generate({ prompts, tokens: count, seed, temperatures: constantTemperature(1) });
    return (performance.now() - begun) / 1000;
  };
  await run(0, 4);
  const seconds: number[] = [];
  for (let repeat = 0; repeat < Number(values.repeats); repeat += 1) seconds.push(await run(repeat, tokens));
  rows.push({ batch, seconds, tokensPerSecond: (batch * tokens) / Math.min(...seconds) });
}
await generator.release();
await model.close();
await runtime.dispose();
const peakRssBytes = process.resourceUsage().maxRSS * 1024;
process.stdout.write(
  `${JSON.stringify({ task: 'generation', tokens, threads: Number(values.threads), openSeconds, rows, peakRssBytes }, undefined, 2)}\n`,
);
