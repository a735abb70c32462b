import type { LearnSpec, OutputFormat } from './jobs';

/** Defaults of a learning job: one list for the command line, recipes and the editor. */
export const learnDefaults = {
  method: 'diffq',
  targetBits: 4,
  steps: 2000,
  /** Samples of a data set in a step. */
  batch: 64,
  /** Windows of text in a step, and tokens of a window. */
  textBatch: 8,
  window: 256,
  rate: 1e-3,
  logitRate: 1e-2,
  optimizer: 'adam',
  schedule: 'cosine',
  loss: 'auto',
  /** MiB of float32. */
  minimumSize: 0.01,
  formats: ['archive', 'onnx-packed'] as readonly OutputFormat[],
} as const;

/** What the folder of a checkpoint is called: the output's name with this ending. */
export const checkpointEnding = '.checkpoint';

/** True if training data is text, by the name of the file. Several texts may be mixed: `a.txt:0.7,b.txt:0.3`. */
export function isTextData(data: string): boolean {
  return data.split(',').every((part) => /\.(txt|text|md)(:[\d.]+)?$/i.test(part.trim()));
}

/** The files and folders that training data names: one, or every text of a mixture without its share. */
export function dataPaths(data: string): readonly string[] {
  if (!isTextData(data)) return [data];
  return data.split(',').map((part) => part.trim().replace(/(?<=\.\w+):[\d.]+$/, ''));
}

/** A specification with the defaults filled in. `learnsWidths`: the method needs a target or a penalty. */
export function completeLearnSpec(given: Pick<LearnSpec, 'model' | 'data' | 'out'> & Partial<LearnSpec>, learnsWidths: boolean): LearnSpec {
  const text = isTextData(given.data);
  return {
    kind: 'learn',
    method: learnDefaults.method,
    parameters: {},
    steps: learnDefaults.steps,
    batch: text ? learnDefaults.textBatch : learnDefaults.batch,
    rate: learnDefaults.rate,
    logitRate: learnDefaults.logitRate,
    optimizer: learnDefaults.optimizer,
    schedule: learnDefaults.schedule,
    loss: learnDefaults.loss,
    formats: learnDefaults.formats,
    ...(text ? { window: learnDefaults.window } : {}),
    ...(learnsWidths && given.targetBits === undefined && given.penalty === undefined ? { targetBits: learnDefaults.targetBits } : {}),
    ...given,
  };
}
