import { modelName } from '../../common/modelName';
import { formatPairs } from '../../common/textTable';
import { formatBytes, formatCount, formatSeconds } from '../../common/units';
import { modelField, wholeNumber, yesOrNo } from '../../protocol/fields';
import type { GenerateSpec } from '../../protocol/jobs';
import type { ReportPageView } from '../../protocol/panels/reportPage';
import type { GenerateReport } from '../../protocol/report';
import { environmentFacts } from '../reports/modelDocument';
import { positiveNumber, samplingFields } from './samplingFields';
import type { ComputingKind } from './stepKind';

/** Lets a model write. */
export const generateKind: ComputingKind<GenerateSpec, GenerateReport> = {
  id: 'generate',
  label: 'Generate',
  summary: 'Lets a language model continue a text.',
  command: {
    summary: 'Let a language model continue a text.',
    details: [
      'Stdout gets what the model writes after the prompt, as it is written, and with --json the report alone. Generation ends with the ' +
        "model's end token, or after --max-tokens. Prompt and generated tokens must fit in the model's context.",
      'Where the model has a chat template, the prompt is the message of a user, and what is written is the answer; --raw switches that off.',
      'A Hugging Face directory, a GGUF file or an archive is generated from its weights in float32; an ONNX model runs unchanged.',
    ],
    examples: [
      'loomweight generate loom-base --prompt "It was a dark night" --max-tokens 64',
      'loomweight generate out/loom-base-4bit --prompt "It was a dark night" --greedy',
      'loomweight generate loom-base --temperature 0.8 --top-k 50 --seed 7',
    ],
    streams: true,
  },
  fields: [
    modelField('A Hugging Face directory, a GGUF file, a folder that Loomweight wrote, or an ONNX language model.'),
    { key: 'prompt', doc: 'Text to continue. Default: only the start token.', type: { kind: 'text' } },
    yesOrNo('raw', "Continue the prompt as it is, without the model's chat template."),
    yesOrNo('greedy', 'Take the most probable token each time instead of drawing one.'),
    wholeNumber('maxTokens', 'Largest number of tokens to generate. Default: 256, or what the context has room for.', 1),
    positiveNumber('temperature', 'Logits are divided by it: below 1 probable tokens become more probable. Default: 1.', 100),
    ...samplingFields,
  ],
  rules: [
    { rule: 'belongs', keys: ['raw'], to: 'prompt' },
    { rule: 'exclusive', keys: ['greedy', 'temperature'] },
    { rule: 'exclusive', keys: ['greedy', 'topK'] },
    { rule: 'exclusive', keys: ['greedy', 'topP'] },
  ],

  inputs: ({ model }) => [model],
  outputs: () => [],
  describe: ({ model, prompt }) => ({ title: `Generate with ${modelName(model)}`, subtitle: prompt ?? '', opens: 'report' }),

  forecast: async (spec) => {
    const { estimateGenerate } = await import('../generate/generateText');
    return estimateGenerate(spec);
  },
  computes: true,
  run: async (spec, context) => {
    const { generateText } = await import('../generate/generateText');
    return generateText(spec, context);
  },

  outcome: ({ tokens, tokensPerSecond }) => `${formatCount(tokens.length)} tokens · ${formatCount(Math.round(tokensPerSecond))} tokens/s`,
  text: generatedText,
  page: generatedPage,
};

function generatedText(report: GenerateReport): string {
  const { environment, tokens, promptTokens } = report;
  return formatPairs([
    ['Text', report.text],
    ['Tokens', `${formatCount(tokens.length)} behind ${formatCount(promptTokens.length)} of prompt, ${stopped(report)}`],
    ['Choices', report.choices],
    ['Ran on', `${environment.provider}, ${environment.threads} threads, ${environment.runtime}`],
    ['Time', `${formatSeconds(report.seconds)}, ${formatCount(Math.round(report.tokensPerSecond))} tokens/s`],
    ['Memory', `${formatBytes(report.peakRssBytes)} at peak`],
  ]);
}

function stopped(report: GenerateReport): string {
  return report.stopped === 'end' ? 'ended by the model' : 'ended by the limit';
}

function generatedPage(report: GenerateReport, spec: GenerateSpec | undefined): ReportPageView {
  return {
    title: spec ? modelName(spec.model) : 'Generated text',
    subtitle: report.prompt === '' ? 'Generated from the start token' : report.prompt,
    figures: [
      { label: 'Tokens', value: formatCount(report.tokens.length), note: stopped(report) },
      { label: 'Speed', value: `${formatCount(Math.round(report.tokensPerSecond))} tokens/s` },
      { label: 'Time', value: formatSeconds(report.seconds) },
    ],
    sections: [
      { kind: 'list', heading: 'Text', items: report.text.split('\n').filter((line) => line.trim() !== '') },
      { kind: 'list', heading: 'Conditions', items: report.choices },
      {
        kind: 'facts',
        heading: 'Environment',
        rows: [...environmentFacts(report.environment), { label: 'Peak memory', value: formatBytes(report.peakRssBytes) }],
      },
    ],
    actions: [],
  };
}
