import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/**
 * Prints milliseconds per step by operator and by node from the profile of ONNX Runtime that a folder holds (files named `profile...`): for each node the lower
 * fifth of its times, so that other work on the machine counts little.
 */
export function printProfile(folder: string, steps: number): void {
  const file = readdirSync(folder).find((name) => name.startsWith('profile'));
  if (file === undefined) throw new Error('The runtime wrote no profile.');
  const events = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as readonly {
    readonly cat: string;
    readonly name: string;
    readonly dur: number;
    readonly args?: { readonly op_name?: string; readonly output_type_shape?: unknown };
  }[];
  const times = new Map<string, { readonly operator: string; readonly shape: string; readonly all: number[] }>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== 'Node' || !name.endsWith('_kernel_time') || args?.op_name === undefined) continue;
    const node = name.slice(0, -'_kernel_time'.length);
    const known = times.get(node) ?? { operator: args.op_name, shape: JSON.stringify(args.output_type_shape), all: [] };
    known.all.push(dur / 1000);
    times.set(node, known);
  }
  const byOperator = new Map<string, number>();
  const byNode = new Map<string, number>();
  for (const [node, { operator, shape, all }] of times) {
    if (operator === 'Loop' || operator === 'Scan') continue;
    all.sort((a, b) => a - b);
    const perStep = ((all[Math.floor(all.length / 5)] as number) * all.length) / steps;
    byOperator.set(operator, (byOperator.get(operator) ?? 0) + perStep);
    byNode.set(`${operator} ${node} ${shape}`, perStep);
  }
  console.log(`${[...byNode.values()].reduce((sum, time) => sum + time, 0).toFixed(1)} ms in ${byNode.size} nodes`);
  for (const table of [byOperator, byNode]) {
    const rows = [...table].sort((a, b) => b[1] - a[1]).slice(0, 60);
    console.log(`${rows.map(([name, milliseconds]) => `${milliseconds.toFixed(2).padStart(8)}  ${name}`).join('\n')}\n`);
  }
}
