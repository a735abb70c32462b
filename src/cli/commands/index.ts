import type { StepKind } from '../../engine/jobs/stepKind';
import type { Command } from '../command';
import { kindCommand } from '../kindCommand';
import { devices } from './devices';
import { inspect } from './inspect';
import { methodsCommand } from './methods';
import { runCommand } from './run';

/** Every command, in the order of the help: those of the step kinds, then those that are not jobs. */
export function commandsOf(kinds: readonly StepKind[]): readonly Command[] {
  const jobs = kinds.flatMap((kind) => (kind.command ? [kindCommand(kind, kind.command)] : []));
  return [inspect, ...jobs, runCommand(kinds), methodsCommand(kinds), devices];
}
