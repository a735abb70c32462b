import { calibrateKind } from './calibrate';
import { compareKind } from './compare';
import { compressKind } from './compress';
import { evaluateKind } from './evaluate';
import { generateKind } from './generate';
import { inspectKind } from './inspect';
import { learnKind } from './learn';
import type { StepKind } from './stepKind';

/** Every kind of step, in the order of help and completions. */
export const stepKinds: readonly StepKind[] = [
  inspectKind,
  compressKind,
  learnKind,
  evaluateKind,
  compareKind,
  generateKind,
  calibrateKind,
];
