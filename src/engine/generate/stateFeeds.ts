import type { TemperatureSchedule } from '../../common/temperatureSchedule';
import type { RuntimeTensor } from '../runtime/types';
import type { Drawing } from './advance';
import type { GenerationRequest } from './generator';
import { penalises, stateNames } from './generationGraphs';
import { uniformsOf } from './uniforms';

/** Tensors by the names of inputs. */
export type Feeds = Readonly<Record<string, RuntimeTensor>>;

/** The carried state behind the prompts, without the token. */
export function firstState({ prompts }: GenerationRequest, drawing: Drawing): Feeds {
  const { vocabulary, end } = drawing;
  const batch = prompts.length;
  return {
    [stateNames.index]: { dtype: 'float32', shape: [batch], data: new Float32Array(batch).fill(1) },
    ...(end.kind === 'stop' && { [stateNames.finished]: { dtype: 'bool', shape: [batch], data: new Uint8Array(batch) } }),
    ...(penalises(drawing) && { [stateNames.seen]: { dtype: 'float32', shape: [batch, vocabulary], data: seenIn(prompts, vocabulary) } }),
  };
}

function seenIn(prompts: GenerationRequest['prompts'], vocabulary: number): Float32Array {
  const seen = new Float32Array(prompts.length * vocabulary);
  for (const [row, prompt] of prompts.entries()) for (const token of prompt) seen[row * vocabulary + token] = 1;
  return seen;
}

/** The schedules of all sequences. */
export function temperatureFeeds({ prompts, temperatures }: GenerationRequest): Feeds {
  const batch = prompts.length;
  const schedules: readonly TemperatureSchedule[] = isList(temperatures) ? temperatures : prompts.map(() => temperatures);
  const vector = (pick: (schedule: TemperatureSchedule) => number): RuntimeTensor => ({
    dtype: 'float32',
    shape: [batch],
    data: Float32Array.from(schedules, pick),
  });
  return {
    first_temperature: vector(({ first }) => first),
    last_temperature: vector(({ last }) => last),
    schedule_length: vector(({ length }) => length),
  };
}

function isList(value: GenerationRequest['temperatures']): value is readonly TemperatureSchedule[] {
  return Array.isArray(value);
}

/** Draws of all sequences for the next `steps` tokens, [steps, batch]. */
export function uniformRows({ prompts, seed, firstSequence = 0 }: GenerationRequest): (steps: number) => Float32Array {
  const streams = prompts.map((_, index) => uniformsOf(seed, firstSequence + index));
  return (steps) => {
    const rows = new Float32Array(steps * streams.length);
    for (let index = 0; index < rows.length; index += 1) rows[index] = (streams[index % streams.length] as () => number)();
    return rows;
  };
}
