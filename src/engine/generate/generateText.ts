import { constantTemperature } from '../../common/temperatureSchedule';
import { LoomweightError } from '../../protocol/errors';
import type { GenerateSpec } from '../../protocol/jobs';
import type { GenerateReport } from '../../protocol/report';
import type { JobEstimate } from '../runtime/estimate';
import type { WorkContext } from '../runtime/workContext';
import { fillChatTemplate } from '../text/chatTemplate';
import { checkTokens } from '../text/checkTokens';
import { checkLogProbabilities } from './generator';
import { openTextModel, weightBytes, type TextModel } from './openTextModel';
import type { Sampling } from './sampling';
import { TextSoFar } from './textSoFar';

/** Tokens that are generated where the caller does not say how many, if the context has room for them. */
const defaultTokens = 256;
/** Multiply-adds a second with one row, and bytes read, taken low; rough figures for two cores. */
const flopsPerSecond = 5e9;
const readBytesPerSecond = 300e6;

/** The prompt as tokens, and how many may follow. */
interface Plan {
  readonly prompt: readonly number[];
  readonly tokens: number;
  readonly choices: readonly string[];
}

/**
 * Continues a prompt with a model until it writes an end token or enough tokens; the text so far is in the progress. Errors: `invalid-argument` for a prompt that the context does not hold, those
 * of opening and running the model, `cancelled`.
 */
export async function generateText(spec: GenerateSpec, context: WorkContext): Promise<GenerateReport> {
  const start = performance.now();
  const model = await openTextModel(spec.model);
  try {
    const { prompt, tokens, choices: planned } = plan(spec, model);
    const choices = [...planned, describeSampling(spec), ...model.notes];
    const { signal, seed, progress, note } = context;
    for (const choice of choices) note(choice);
    const sampling = samplingOf(spec);
    const generator = await model.generator({ sampling, end: { kind: 'stop', ends: model.ends }, logProbabilities: true }, context);
    try {
      const generating = performance.now();
      const logProbabilities: number[] = [];
      const text = new TextSoFar(model.tokenizer, prompt);
      const [made = []] = await generator.generate({
        prompts: [prompt],
        tokens,
        seed,
        temperatures: constantTemperature(spec.temperature ?? 1),
        signal,
        onLogProbabilities: (values) => {
          checkLogProbabilities(values);
          logProbabilities.push(...values);
        },
        onTokens: (rows) => {
          text.add(rows.map(([token]) => token as number).filter((token) => !model.ends.includes(token)));
          progress({ phase: 'Generating', done: text.tokens, total: tokens, unit: 'tokens', text: text.stable });
        },
      });
      progress({ phase: 'Generating', done: made.length, total: tokens, unit: 'tokens', text: text.whole });
      const seconds = (performance.now() - generating) / 1000;
      return {
        kind: 'generate',
        prompt: spec.prompt ?? '',
        text: text.whole,
        promptTokens: prompt,
        tokens: made,
        logProbabilities: logProbabilities.slice(0, made.length),
        stopped: model.ends.includes(made.at(-1) ?? -1) ? 'end' : 'length',
        choices,
        seed,
        environment: context.runtime.environment,
        seconds: (performance.now() - start) / 1000,
        generatingSeconds: seconds,
        tokensPerSecond: made.length / seconds,
        peakRssBytes: process.resourceUsage().maxRSS * 1024,
      };
    } finally {
      await generator.release();
    }
  } finally {
    await model.close();
  }
}

/** Memory and time, from headers, the tokenizer and the prompt. Errors: as `generateText` before it runs. */
export async function estimateGenerate(spec: GenerateSpec): Promise<JobEstimate> {
  const model = await openTextModel(spec.model);
  try {
    const { prompt, tokens } = plan(spec, model);
    const { bytes, parameters } = weightBytes(model.container);
    return {
      hostMemoryBytes: await model.memory(1, prompt.length + tokens),
      diskBytes: 0,
      seconds: 1 + bytes / readBytesPerSecond + (parameters * (prompt.length + tokens)) / flopsPerSecond,
      notes: model.notes,
    };
  } finally {
    await model.close();
  }
}

function plan(spec: GenerateSpec, model: TextModel): Plan {
  const { contextLength, vocabularySize } = model;
  const { maxTokens } = spec;
  const { prompt, choices } = encodedPrompt(spec, model);
  if (vocabularySize !== undefined) checkTokens(prompt, vocabularySize);
  if (prompt.length === 0)
    throw new LoomweightError(
      'invalid-argument',
      'Generating without a prompt requires a start token, but neither tokenizer_config.json nor config.json names one. Give a prompt.',
      {},
    );
  const room = contextLength - prompt.length;
  if (room < 1)
    throw new LoomweightError(
      'invalid-argument',
      `The prompt has ${prompt.length} tokens, but the model's context is ${contextLength}, and what is generated must fit too. Use a shorter prompt.`,
      { prompt: prompt.length, contextLength },
    );
  if (maxTokens !== undefined && maxTokens > room)
    throw new LoomweightError(
      'invalid-argument',
      `${prompt.length} tokens of prompt and ${maxTokens} generated ones exceed the model's context of ${contextLength}. Generate at most ${room}.`,
      { prompt: prompt.length, maxTokens, contextLength },
    );
  return {
    prompt,
    tokens: maxTokens ?? Math.min(defaultTokens, room),
    choices,
  };
}

/** The prompt in the model's chat template, where it has one and the prompt is not raw; otherwise behind the start token. */
function encodedPrompt(
  { prompt: text = '', raw = false }: GenerateSpec,
  { tokenizer, beginning, chatTemplate }: TextModel,
): Omit<Plan, 'tokens'> {
  if (chatTemplate !== undefined && !raw && text !== '') {
    const prompt = tokenizer.encode(fillChatTemplate(chatTemplate, text, tokenizer));
    return { prompt, choices: [`prompt in the chat template of the model: ${prompt.length} tokens`] };
  }
  const ids = tokenizer.encode(text);
  const starts = beginning !== undefined && ids[0] !== beginning.id && (ids.length === 0 || tokenizer.addsBeginning);
  return {
    prompt: starts ? [beginning.id, ...ids] : ids,
    choices: [
      `prompt encoded without special tokens: ${ids.length} tokens`,
      starts ? `it starts with BOS ${beginning.id} (${beginning.source})` : 'no BOS is put before it',
    ],
  };
}

function samplingOf({ greedy = false, topK, topP, repetitionPenalty }: GenerateSpec): Sampling {
  return {
    greedy,
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
  };
}

function describeSampling({ greedy = false, temperature = 1, topK, topP, repetitionPenalty }: GenerateSpec): string {
  const parts = [
    greedy ? 'greedy: the most probable token each time' : `sampled at temperature ${temperature}`,
    ...(topK === undefined ? [] : [`from the ${topK} most probable tokens`]),
    ...(topP === undefined ? [] : [`from the most probable tokens that together reach ${topP}`]),
    ...(repetitionPenalty === undefined ? [] : [`repetition penalty ${repetitionPenalty}`]),
  ];
  return parts.join(', ');
}
