/**
 * Every id that the manifest contributes and the code registers, in one typed place. A test compares them with
 * package.json, so that neither side can forget the other. Ids are stable for ever: users bind keys to them.
 */
export const commandIds = {
  compress: 'loomweight.compressModel',
  learn: 'loomweight.learnBits',
  evaluate: 'loomweight.evaluateModel',
  compare: 'loomweight.compareModels',
  startJob: 'loomweight.startJob',
  inspectTensor: 'loomweight.inspectTensor',
  openModel: 'loomweight.openModel',
  showDevices: 'loomweight.showDevices',
  setUpGpu: 'loomweight.setUpGpu',
  terminalCommand: 'loomweight.terminalCommand',
  cancelJob: 'loomweight.cancelJob',
  removeJob: 'loomweight.removeJob',
  runRecipe: 'loomweight.runRecipe',
  newRecipe: 'loomweight.newRecipe',
  forecastRecipe: 'loomweight.forecastRecipe',
  refresh: 'loomweight.refreshModels',
  openReport: 'loomweight.openReport',
  revealOutput: 'loomweight.revealOutput',
  showBitAllocation: 'loomweight.showBitAllocation',
  showJob: 'loomweight.showJob',
  showLog: 'loomweight.showLog',
} as const;

/** Commands of clicks on what is drawn again and again: rows of the trees, the status bar. They find what they act on themselves, so neither the manifest nor the palette lists them. */
export const clickCommandIds = {
  models: 'loomweight.models.openSelected',
  jobs: 'loomweight.jobs.openSelected',
  statusBar: 'loomweight.jobs.openRunning',
} as const;

export type CommandId = (typeof commandIds)[keyof typeof commandIds];

export const viewIds = { models: 'loomweight.models', jobs: 'loomweight.jobs' } as const;

/** Custom editors, by the kind of file. */
export const editorIds = {
  safetensors: 'loomweight.safetensors',
  gguf: 'loomweight.gguf',
  onnx: 'loomweight.onnx',
  npy: 'loomweight.npy',
} as const;

/** Set once something has been done with success: steps of the walkthrough are ticked by `onContext`. What: `openedModel`, or the kind of a job. */
export const doneContext = (what: string): string => `loomweight.done.${what}`;

/** Panels that are restored after a reload of the window. */
export const panelIds = {
  model: 'loomweight.model',
  bitAllocation: 'loomweight.bitAllocation',
  job: 'loomweight.job',
  report: 'loomweight.report',
} as const;

/** Settings, without the leading `loomweight.`. */
export const settingKeys = {
  runtimePath: 'runtime.path',
  provider: 'provider',
  threads: 'threads',
  maxMemory: 'maxMemory',
} as const;

/** What the item under the mouse is: `when` clauses of the manifest match on these. */
export const itemContexts = {
  model: 'model',
  sampleModel: 'model.sample',
  tensor: 'tensor',
  runningJob: 'job.running',
  finishedJob: 'job.done',
  /** Has written a model. */
  finishedModel: 'job.done.model',
  /** Has written something else. */
  finishedOutput: 'job.done.output',
  failedJob: 'job.failed',
} as const;
