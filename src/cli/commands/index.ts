import type { Command } from '../command';
import { compare } from './compare';
import { compress } from './compress';
import { devices } from './devices';
import { evaluate } from './evaluate';
import { inspect } from './inspect';
import { learnBits } from './learnBits';
import { methods } from './methods';
import { run } from './run';

/** Every command, in the order of the help. */
export const commands: readonly Command[] = [inspect, compress, learnBits, evaluate, compare, run, methods, devices];
