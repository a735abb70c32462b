import { parseArgs } from 'node:util';
import { evaluateModel } from '../../src/engine/evaluate/evaluateModel';
import { createRuntime } from '../../src/engine/runtime/runtime';
import { workContext } from '../support/workContext';

/**
 * Perplexity of a model over a text, timed: `npm run bench perplexity -- --model DIR --text FILE [--window 256] [--limit N]
 * [--threads 2] [--repeats 3] [--max-memory BYTES]`. Prints one JSON document. Everything counts: opening the model, tokenizing,
 * reading and widening the weights, making sessions, scoring; `scoringTokensPerSecond` counts the scoring alone.
 */
const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    text: { type: 'string' },
    window: { type: 'string', default: '256' },
    limit: { type: 'string' },
    threads: { type: 'string', default: '2' },
    repeats: { type: 'string', default: '3' },
    'max-memory': { type: 'string' },
  },
});
if (!values.model || !values.text) throw new Error('Give --model and --text.');

const runtime = await createRuntime({ provider: 'cpu', threads: Number(values.threads) });
const seconds: number[] = [];
let perplexity = 0;
let tokens = 0;
let scoring = Infinity;
let choices: readonly string[] = [];
for (let repeat = 0; repeat < Number(values.repeats); repeat += 1) {
  const report = await evaluateModel(
    {
      kind: 'evaluate',
      model: values.model,
      text: values.text,
      window: Number(values.window),
      ...(values.limit === undefined ? {} : { limit: Number(values.limit) }),
    },
    workContext(runtime, { memoryLimit: values['max-memory'] === undefined ? undefined : Number(values['max-memory']) }),
  );
  seconds.push(report.seconds);
  perplexity = report.value;
  scoring = Math.min(scoring, report.scoringSeconds ?? Infinity);
  choices = report.choices;
  tokens = report.tokens ?? 0;
}
const result = {
  task: 'perplexity',
  perplexity,
  tokens,
  window: Number(values.window),
  threads: Number(values.threads),
  seconds,
  tokensPerSecond: tokens / Math.min(...seconds),
  scoringTokensPerSecond: tokens / scoring,
  choices,
  peakRssBytes: process.resourceUsage().maxRSS * 1024,
};
process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
